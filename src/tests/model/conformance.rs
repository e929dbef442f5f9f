//! A presenter on the fake GPU does what the state machine says, step by step, and keeps the rules of the oracle itself.
//!
//! Its pollers are stopped. What they would do is done here, so that there is one thread and one order.

use std::time::Duration;

use wgpu_core::id::DeviceId;

use super::machine::{self, CONTEXT, DEVICES, Machine, Submit, Weakened};
use super::superseding::all_histories;
use crate::FrameMemoryKind;
use crate::PresentError;
use crate::gpu::WaitResult;
use crate::tests::chaos::engine::Engine;
use crate::tests::chaos::step::{Disturbance, Step, Texture};
use crate::tests::fake_parts::{FakeParts, engine};
use crate::tests::oracle::{LifeId, Loss, Oracle, Trouble};
use crate::tests::scripts::run_all;

struct Both {
    machine: Machine,
    engine: Engine<FakeParts>,
    life: LifeId,
    devices: [Device; DEVICES],
    /// How many copies were accepted.
    tickets: u64,
}

/// The tickets of what a device was given, the first of which was its submission 1; and how many are done.
#[derive(Default)]
struct Device {
    tickets: Vec<u64>,
    done: usize,
}

impl Both {
    fn new(memory: FrameMemoryKind) -> Self {
        // The machine knows buffers alone.
        let mut engine = engine(memory, 1, false);
        engine.seats[0].presenter.poller().stop();
        let context = CONTEXT.0;
        engine.go(Step::Create { at: 0, context, owner: 0, size: (4, 2), ids: 0, compositor: Some(1) });
        let life = engine.witness.tell(|oracle| oracle.alive(0, CONTEXT)).expect("it is created");
        Self {
            machine: Machine::new(Weakened::Nothing),
            engine,
            life,
            devices: Default::default(),
            tickets: 0,
        }
    }

    fn go(&mut self, step: machine::Step) {
        // Here frames are made as soon as their copies have finished, the oldest first.
        if matches!(step, machine::Step::Show { .. }) {
            return;
        }
        self.machine.go(step);
        let context = CONTEXT.0;
        match step {
            machine::Step::Present { device, large, epoch, submit } => {
                self.present(device, large, epoch, submit)
            }
            machine::Step::Clear { epoch } => {
                let size = (3, self.begun());
                self.engine.go(Step::Clear { at: 0, context, epoch, size, opaque: false, times: 1 });
            }
            machine::Step::Finish { device, count } => {
                (0..self.machine.in_flight())
                    .for_each(|_| self.machine.go(machine::Step::Show { choice: 0 }));
                self.finish(device, count);
            }
            machine::Step::Show { .. } => {}
            machine::Step::Lose { device } => self.lose(device),
            machine::Step::Read => self.engine.go(Step::Read { at: 0, context }),
        }
        self.engine.witness.tell(|oracle| oracle.judge_copies(self.life));
        self.compare();
        if let machine::Step::Present { device, submit: Submit::Doubtful, .. } = step {
            // A device of which this is not known is lost.
            self.go(machine::Step::Lose { device });
        }
    }

    /// How many presents have begun.
    fn begun(&self) -> u32 {
        self.machine.oracle.ends(0, CONTEXT).count() as u32
    }

    fn device(&self, index: usize) -> Option<DeviceId> {
        self.engine.seats[0].devices[index].map(|held| held.device.id)
    }

    fn present(&mut self, index: usize, large: bool, epoch: u64, submit: Submit) {
        // What is cleared has a size of its own, so that it can be told apart.
        let (trouble, width) = match submit {
            Submit::Refused => (Trouble::WrongDevice, 4),
            Submit::Zeros => (Trouble::Invalid, 5 + self.begun()),
            Submit::Accepted | Submit::Doubtful => (Trouble::Good, 4),
        };
        // A ring uses no buffer of the one for the other.
        let size = (width, if large { 80 } else { 2 });
        if submit == Submit::Doubtful {
            let disturbance = Disturbance::FailSubmit { may_be_in_flight: true };
            self.engine.go(Step::Disturb { at: 0, device: index, disturbance });
        }
        let submits = self.engine.seats[0].parts.gpu.submits();
        let texture = Texture { device: index, size, rgba: false, opaque: false, trouble, kept: false };
        self.engine.go(Step::Present { at: 0, context: CONTEXT.0, epoch, texture, batched: false });
        let tickets = self.engine.map.find(CONTEXT).expect("it lives").tickets();
        let device = self.device(index).expect("it was presented from");
        let is_accepted = self.engine.seats[0].parts.gpu.submits() > submits;
        self.engine.witness.tell(|oracle| {
            if is_accepted {
                oracle.submitted(self.life, Some(oracle.begun(self.life)), device);
            } else if submit == Submit::Doubtful {
                oracle.submitted(self.life, None, device);
                oracle.doubts(self.life, device);
            }
        });
        let device = &mut self.devices[index];
        if is_accepted {
            device.tickets.push(tickets);
        } else if tickets > self.tickets + 1 {
            // What was to be superseded is back, under another name.
            *device.tickets.last_mut().expect("there is one") = tickets;
        }
        self.tickets = tickets;
    }

    fn finish(&mut self, index: usize, count: u32) {
        let Some(id) = self.device(index) else { return };
        self.engine.witness.tell(|oracle| oracle.finished(self.life, id, count));
        let seat = &self.engine.seats[0];
        seat.parts.gpu.finish(id);
        let context = self.engine.map.find(CONTEXT).expect("it lives");
        let device = seat.presenter.poller().open(id).expect("it is known");
        let Device { tickets, done } = &mut self.devices[index];
        for ticket in tickets.iter().skip(*done).take(count as usize) {
            *done += 1;
            let WaitResult::Done(completed) = device.wait(*done as u64, Duration::ZERO) else {
                panic!("it has finished")
            };
            context.complete(*ticket, &completed);
        }
        context.outbox().drain();
    }

    fn lose(&mut self, index: usize) {
        let Some(id) = self.device(index) else { return };
        self.engine.witness.tell(|oracle| {
            oracle.loses(id, Loss::Lost);
            oracle.loses_copies(self.life, id);
        });
        self.engine.seats[0].devices[index] = None;
        let device = std::mem::take(&mut self.devices[index]);
        let context = self.engine.map.find(CONTEXT).expect("it lives");
        for ticket in &device.tickets[device.done..] {
            context.fail(*ticket, &PresentError::DeviceLost);
        }
        context.outbox().drain();
    }

    fn compare(&mut self) {
        let in_flight = self.engine.seats[0].presenter.statistics(CONTEXT).expect("it lives").in_flight;
        let expected = self.machine.in_flight();
        let machine = &self.machine.oracle;
        self.engine.witness.tell(|oracle| {
            let differ = |what, here: &dyn std::fmt::Debug, there: &dyn std::fmt::Debug| {
                format!("{what}: {here:?}, in the machine {there:?}")
            };
            oracle.rule(in_flight == expected, || differ("in flight", &in_flight, &expected));
            let ends = |oracle: &Oracle| -> Vec<_> {
                oracle.ends(0, CONTEXT).map(|end| end.map(std::mem::discriminant)).collect()
            };
            let (here, there) = (ends(oracle), ends(machine));
            oracle.rule(here == there, || differ("ends", &here, &there));
            let (here, there) = (oracle.acknowledged(self.life), machine.acknowledged(self.machine.life));
            let is_same = here == there;
            let text = differ("acknowledged", &here, &there);
            oracle.rule(is_same, || text);
        });
    }

    fn end(mut self) -> Vec<String> {
        (0..DEVICES).for_each(|device| self.go(machine::Step::Finish { device, count: u32::MAX }));
        self.engine.collect();
        self.engine.renderers[0].lock().catch_up();
        let answers = |oracle: &Oracle, life| oracle.answers(life).collect::<Vec<_>>();
        let expected = answers(&self.machine.oracle, self.machine.life);
        self.engine.witness.tell(|oracle| {
            let answers = answers(oracle, self.life);
            oracle.rule(answers == expected, || format!("{answers:?} are read, in the machine {expected:?}"));
            oracle.quiet();
        });
        self.machine.finish_all();
        [self.machine.oracle.violations(), &self.engine.witness.violations()].concat()
    }
}

// Completing by hand, as here, is what a poller does for owned memory; portable memory needs polls too.
#[test]
fn the_presenter_does_what_its_model_does_in_3_000_histories() {
    run_all(3_000, all_histories(), |steps| {
        let mut both = Both::new(FrameMemoryKind::Owned);
        steps.iter().for_each(|step| both.go(*step));
        both.end()
    });
}
