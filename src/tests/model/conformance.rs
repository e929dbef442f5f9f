//! A presenter on the fake GPU does what the state machine says, step by step.
//!
//! Its pollers are stopped. What they would do is done here, so that there is one thread and one order.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::super::world::*;
use super::history::{DEVICES, Step, Submit, history};
use super::rules::{End, Model, Weakened};
use super::{Violation, run_all};
use crate::gpu::WaitResult;
use crate::gpu::{fake, fake::Fault};
use crate::{PresentEnd, PresentError};

/// A device whose textures are refused.
const FOREIGN: u32 = u32::MAX;

const CLEAR: [u8; 4] = [0; 4];

struct Both {
    model: Model,
    world: World,
    devices: [Device; DEVICES],
    next_device: u32,
    /// How many copies were accepted.
    tickets: u64,
    /// What each present shows; the first is what is there before any.
    pixels: Vec<[u8; 4]>,
    reads: Vec<Receiver<Answer>>,
}

/// A lost one is replaced by one of another number.
struct Device {
    number: u32,
    /// The numbers of their tickets. The first submission is number 1.
    submissions: Vec<u64>,
    done: usize,
}

impl Device {
    fn new(number: u32) -> Self {
        Self { number, submissions: Vec::new(), done: 0 }
    }
}

impl Both {
    fn new() -> Self {
        let world = World::new(Owned);
        world.presenter.poller().stop();
        Self {
            model: Model::new(Weakened::Nothing),
            world,
            devices: std::array::from_fn(|index| Device::new(index as u32)),
            next_device: DEVICES as u32,
            tickets: 0,
            pixels: vec![CLEAR],
            reads: Vec::new(),
        }
    }

    fn go(&mut self, step: Step) -> Result<(), Violation> {
        // Here frames are made as soon as their copies have finished, the oldest first.
        if matches!(step, Step::Show { .. }) {
            return Ok(());
        }
        self.model.go(step)?;
        match step {
            Step::Present { device, large, epoch, submit } => self.present(device, large, epoch, submit),
            Step::Clear { epoch } => {
                self.pixels.push(CLEAR);
                self.world.present_cleared(size(3, 3), epoch);
            }
            Step::Finish { device, count } => {
                (0..self.model.in_flight()).try_for_each(|_| self.model.go(Step::Show { choice: 0 }))?;
                self.finish(device, count as usize);
            }
            Step::Show { .. } => {}
            Step::Lose { device } => self.lose(device),
            Step::Read => self.reads.push(self.world.get_image(None)),
        }
        self.compare()?;
        match step {
            // A device of which this is not known is lost.
            Step::Present { device, submit: Submit::Doubtful, .. } => self.go(Step::Lose { device }),
            _ => Ok(()),
        }
    }

    fn present(&mut self, index: usize, large: bool, epoch: u64, submit: Submit) {
        let Device { number, submissions, .. } = &mut self.devices[index];
        let pixel = [self.pixels.len() as u8, 1, 2, 255];
        let (owner, fault) = match submit {
            Submit::Refused => (FOREIGN, None),
            Submit::Zeros => (*number, Some(Fault::Invalid)),
            Submit::Accepted | Submit::Doubtful => (*number, None),
        };
        if submit == Submit::Doubtful {
            self.world.gpu.fail_next_submit(PresentError::OutOfMemory, true);
        }
        let before = self.world.gpu.submits();
        // A ring uses no buffer of the one for the other.
        let size = if large { size(9, 80) } else { size(4, 2) };
        let texture = pending(self.world.gpu.texture(fake::device(owner), pixel, fault), *number, size);
        self.world.present_texture(texture, epoch).unwrap();
        let tickets = self.world.map.get(CONTEXT).unwrap().tickets();
        if self.world.gpu.submits() > before {
            submissions.push(tickets);
        } else if tickets > self.tickets {
            // What was to be superseded is back, under another name.
            submissions.last_mut().map(|youngest| *youngest = tickets).unwrap();
        }
        self.tickets = tickets;
        self.pixels.push(if submit == Submit::Zeros { CLEAR } else { pixel });
    }

    fn finish(&mut self, index: usize, count: usize) {
        let Device { number, submissions, done } = &mut self.devices[index];
        self.world.gpu.finish(fake::device(*number));
        let context = self.world.map.get(CONTEXT).unwrap();
        let device = self.world.presenter.poller().open(fake::device(*number));
        for ticket in submissions.iter().skip(*done).take(count) {
            *done += 1;
            let WaitResult::Done(completed) = device.wait(*done as u64, Duration::ZERO) else {
                panic!("it has finished")
            };
            context.complete(*ticket, &completed);
        }
        context.outbox().drain();
    }

    fn lose(&mut self, index: usize) {
        let context = self.world.map.get(CONTEXT).unwrap();
        let device = std::mem::replace(&mut self.devices[index], Device::new(self.next_device));
        self.next_device += 1;
        for ticket in &device.submissions[device.done..] {
            context.fail(*ticket, &PresentError::DeviceLost);
        }
        context.outbox().drain();
    }

    fn compare(&self) -> Result<(), Violation> {
        let differs = |what, there: &dyn std::fmt::Debug, here: &dyn std::fmt::Debug| {
            Err(format!("{what}: {there:?}, in the model {here:?}"))
        };
        let in_flight = self.world.presenter.statistics(CONTEXT).unwrap().in_flight;
        if in_flight != self.model.in_flight() {
            return differs("in flight", &in_flight, &self.model.in_flight());
        }
        let ends: Vec<_> = (1..self.pixels.len() as u64).map(|sequence| self.end_of(sequence)).collect();
        let expected: Vec<_> = self.model.ends().collect();
        if ends != expected {
            return differs("ends", &ends, &expected);
        }
        let acknowledged = self.world.recorder.get(|record| {
            let epoch = |call: &Call| match call {
                Call::Update(_, _, _, epoch) => *epoch,
                Call::Add(..) | Call::Delete(_) => None,
            };
            record.calls.iter().filter_map(epoch).collect::<Vec<_>>()
        });
        if acknowledged != self.model.acknowledged {
            return differs("acknowledged", &acknowledged, &self.model.acknowledged);
        }
        Ok(())
    }

    fn end_of(&self, sequence: u64) -> Option<End> {
        let ends = self.world.recorder.get(|record| record.outcomes.get(&(CONTEXT, sequence)).cloned());
        match ends.as_deref() {
            None => None,
            Some([PresentEnd::Presented]) => Some(End::Presented),
            Some([PresentEnd::Superseded]) => Some(End::Superseded),
            Some([PresentEnd::Failed(_)]) => Some(End::Failed),
            Some(ends) => panic!("{sequence} ends {ends:?}"),
        }
    }

    fn end(mut self) -> Result<(), Violation> {
        (0..DEVICES).try_for_each(|device| self.go(Step::Finish { device, count: u32::MAX }))?;
        self.model.finish_all()?;
        let shown = self.world.shown();
        if shown != self.pixels[self.model.shown()] {
            return Err(format!("{shown:?} is shown, in the model {}", self.model.shown()));
        }
        for (read, expected) in self.reads.iter().zip(self.model.answers()) {
            let pixel = first_pixel(&read.try_recv().expect("it is answered").unwrap());
            if pixel != self.pixels[expected] {
                return Err(format!("{pixel:?} is read, in the model {expected}"));
            }
        }
        Ok(())
    }
}

#[test]
fn the_presenter_does_what_its_model_does_in_3_000_histories() {
    run_all(3_000, history, |steps| {
        let mut both = Both::new();
        steps.iter().try_for_each(|step| both.go(*step))?;
        both.end()
    });
}
