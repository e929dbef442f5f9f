//! When nothing is in flight, and when all is over.

use std::sync::Arc;

use webgpu_presentation::{ContextId, ContextMap};

use super::super::oracle::{Loss, Oracle, Witness};
use super::Parts;
use super::engine::{Engine, Seat};
use super::renderer::Renderer;
use super::step::Step;

impl<P: Parts> Engine<P> {
    /// Waits until nothing is in flight and everything was told, and judges.
    pub fn settle(&mut self) {
        self.quiet();
        self.renderers.iter().for_each(|renderer| renderer.lock().catch_up());
        // Each canvas is read as it is shown.
        for index in 0..self.seats.len() {
            let at = self.seats[index].at;
            for context in self.witness.tell(|oracle| oracle.all_alive(at)) {
                self.go(Step::Read { at: index, context: context.0 });
                let statistics = self.seats[index].presenter.statistics(context).unwrap_or_default();
                self.witness.tell(|oracle| oracle.counted_in_the_end(at, context, statistics));
            }
        }
        self.quiet();
    }

    fn quiet(&mut self) {
        self.seats.iter_mut().for_each(|seat| seat.presenter.batch().submit());
        let Self { seats, gone, witness, .. } = self;
        let mut finish_all = || {
            for Seat { presenter, parts, .. } in &mut *seats {
                // Copies that wait for room are submitted.
                presenter.maintain();
                parts.finish_all();
            }
            gone.iter().for_each(Parts::finish_all);
        };
        finish_all();
        let is_over =
            |oracle: &Oracle| oracle.open(None) + oracle.unanswered(None) + oracle.waiting(false) == 0;
        witness.until_with("everything ends", is_over, finish_all);
        self.seats.iter_mut().for_each(|seat| seat.presenter.maintain());
        self.sync();
        self.judge();
    }

    fn judge(&self) {
        let lost: Vec<_> = self.all_parts().flat_map(Parts::lost).collect();
        self.witness.tell(|oracle| {
            lost.into_iter().for_each(|device| oracle.loses(device, Loss::Lost));
            oracle.quiet();
        });
    }

    fn all_parts(&self) -> impl Iterator<Item = &P> {
        self.seats.iter().map(|seat| &seat.parts).chain(&self.gone)
    }

    /// Forgets what was judged.
    pub fn forget(&mut self) {
        let mut renderers: Vec<_> = self.renderers.iter().map(|renderer| renderer.lock()).collect();
        self.witness.tell(|oracle| {
            renderers.iter_mut().for_each(|renderer| renderer.receive(oracle));
            oracle.forget();
            renderers.iter_mut().for_each(|renderer| renderer.forget(oracle));
        });
    }

    /// Ends all contexts and devices, and drops what script kept: nothing is left.
    pub fn clear(&mut self) {
        for index in 0..self.seats.len() {
            let at = self.seats[index].at;
            for ContextId(context) in self.witness.tell(|oracle| oracle.all_alive(at)) {
                self.go(Step::Destroy { at: index, context, after: None });
            }
        }
        // More than any context waits for.
        (1..3).for_each(|compositor| self.go(Step::Transactions { compositor, count: 10 }));
        self.settle();
        self.go(Step::DropSnapshots);
        self.renderers.iter().for_each(|renderer| renderer.lock().let_all_go());
        for at in 0..self.seats.len() {
            while let Some(device) = self.seats[at].devices.iter().position(Option::is_some) {
                self.go(Step::DropDevice { at, device });
            }
            self.seats[at].presenter.maintain();
        }
        self.judge_leftovers();
    }

    fn judge_leftovers(&self) {
        let left: Vec<_> = self.all_parts().flat_map(Parts::leftovers).collect();
        self.witness.tell(|oracle| oracle.rule(left.is_empty(), || format!("left: {left:?}")));
    }

    /// Ends the engine with whatever is in flight. What renderers and snapshots hold stays until they go, and then nothing is left.
    pub fn finish(mut self) -> Arc<Witness> {
        for seat in std::mem::take(&mut self.seats) {
            self.end(seat);
        }
        for renderer in &*self.renderers {
            let mut renderer = renderer.lock();
            renderer.let_all_go();
            *renderer = Renderer::new(&ContextMap::default(), &self.witness, self.setup);
            renderer.is_over = true;
        }
        self.collect();
        self.drop_snapshots(0);
        self.map = ContextMap::default();
        self.witness.until("everything has ended", |oracle| {
            oracle.open(None) + oracle.unanswered(None) + oracle.waiting(true) == 0
        });
        self.judge();
        self.judge_leftovers();
        self.witness
    }
}
