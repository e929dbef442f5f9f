//! Random histories of one context on the fake GPU, on two devices, with everything that a page and a renderer can do.
//!
//! - every present ends exactly once (I1), and every `get_image` is answered (R14);
//! - the newest good frame is current and shown in the end, nothing is superseded by what fails (R17, R18);
//! - each present is acknowledged, and acknowledged epochs never fall (R16);
//! - whatever a renderer locks has the bytes that the descriptor asks for, all of one frame (R20, I2);
//! - every id comes back exactly once, and the hub is empty in the end (R23);
//! - what is in flight is bounded (I5): nine presents, though each be awaited, and eight captures.

use std::time::Duration;

use proptest::prelude::*;

use super::world::*;
use crate::gpu::fake::{self, Fault};
use crate::{BufferIds, PresentEnd, PresentError, ReturnedId};

#[derive(Clone, Copy, Debug)]
enum Step {
    Present {
        device: u32,
        size: (u32, u32),
        epoch: u64,
        trouble: Trouble,
    },
    Clear {
        epoch: u64,
    },
    Finish {
        device: u32,
    },
    Read,
    Capture,
    /// The renderer draws so many of the updates that it has not drawn yet.
    Draw(usize),
    NewKey,
    Maintain,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    None,
    Invalid,
    Destroyed,
    NoMemory,
    Refused,
}

fn step() -> impl Strategy<Value = Step> {
    let sizes = prop_oneof![
        3 => Just((4, 2)),
        1 => Just((1, 1)),
        1 => Just((9, 9)),
        1 => Just((70, 30)),
        1 => Just((5, 1)),
    ];
    let troubles = prop_oneof![
        10 => Just(Trouble::None),
        1 => Just(Trouble::Invalid),
        1 => Just(Trouble::Destroyed),
        1 => Just(Trouble::NoMemory),
        1 => Just(Trouble::Refused),
    ];
    let devices = prop_oneof![7 => Just(0u32), 1 => Just(1u32)];
    let presents = (devices.clone(), sizes, 0..30u64, troubles)
        .prop_map(|(device, size, epoch, trouble)| Step::Present { device, size, epoch, trouble });
    prop_oneof![
        10 => presents,
        1 => (0..30u64).prop_map(|epoch| Step::Clear { epoch }),
        3 => devices.prop_map(|device| Step::Finish { device }),
        1 => Just(Step::Read),
        1 => Just(Step::Capture),
        2 => (0..6usize).prop_map(Step::Draw),
        1 => Just(Step::NewKey),
        1 => Just(Step::Maintain),
    ]
}

/// A world, and what it must come to.
struct History {
    world: World,
    /// What each present shows, by its sequence number; the first is what is there before any.
    pixels: Vec<[u8; 4]>,
    reads: Vec<std::sync::mpsc::Receiver<Answer>>,
    keys: u32,
    handed_in: usize,
    drawn: usize,
}

impl History {
    fn new(buffer_ids: BufferIds) -> Self {
        let mut world = World::empty();
        world.create(buffer_ids);
        world.presenter.set_image_key(CONTEXT, key(0)).unwrap();
        Self { world, pixels: vec![[0; 4]], reads: vec![], keys: 0, handed_in: 0, drawn: 0 }
    }

    fn go(&mut self, step: Step) {
        let world = &mut self.world;
        match step {
            Step::Present { device, size: (width, height), epoch, trouble } => {
                let number = self.pixels.len();
                let pixel = [(number % 250) as u8 + 1, (number / 250) as u8, 7, 255];
                let fault = match trouble {
                    Trouble::Invalid => Some(Fault::Invalid),
                    Trouble::Destroyed => Some(Fault::Destroyed),
                    _ => None,
                };
                match trouble {
                    Trouble::NoMemory => world.gpu.fail_next_creations(1),
                    Trouble::Refused => world.gpu.fail_next_submit(PresentError::OutOfMemory, false),
                    _ => {}
                }
                let texture = world.gpu.texture(super::world::device(device), pixel, fault);
                let ids = fake::encoder_ids(self.handed_in as u32);
                let texture = with_ids(pending(texture, device, size(width, height)), ids);
                self.handed_in += 1;
                world.present_texture(texture, epoch).unwrap();
                self.pixels.push(if fault.is_some() { [0; 4] } else { pixel });
            }
            Step::Clear { epoch } => {
                world.present_cleared(size(3, 3), epoch);
                self.pixels.push([0; 4]);
            }
            Step::Finish { device } => world.gpu.finish(super::world::device(device)),
            Step::Read => self.reads.push(world.get_image(None)),
            Step::Capture => {
                let texture = world.texture([200; 4], size(4, 2));
                self.reads.push(world.get_image(Some(texture)));
            }
            Step::Draw(count) => self.draw(count),
            Step::NewKey => {
                self.keys += 1;
                world.presenter.set_image_key(CONTEXT, key(self.keys)).unwrap();
            }
            Step::Maintain => world.presenter.maintain(),
        }
        let in_flight = self.world.presenter.statistics(CONTEXT).unwrap().in_flight;
        assert!(in_flight <= 9 + 8, "{in_flight} in flight");
    }

    /// Locks what was offered, in order. Each lock checks the bytes.
    fn draw(&mut self, count: usize) {
        let offers = self.world.recorder.get(|record| {
            let offer = |call: &Call| match call {
                Call::Add(_, descriptor, generation) | Call::Update(_, descriptor, generation, _) => {
                    Some((*descriptor, *generation))
                }
                Call::Delete(_) => None,
            };
            record.calls[self.drawn..].iter().take(count).map(offer).collect::<Vec<_>>()
        });
        self.drawn += offers.len();
        for offer in offers.into_iter().flatten() {
            self.world.locked(offer);
        }
    }

    /// Lets everything finish, and looks.
    fn end(mut self, buffer_ids: usize) {
        let last = self.pixels.len() as u64 - 1;
        for sequence in 1..=last {
            let ended =
                || self.world.recorder.get(|record| record.outcomes.contains_key(&(CONTEXT, sequence)));
            while !ended() {
                self.finish_all();
                std::thread::yield_now();
            }
        }
        self.finish_all();
        for read in &self.reads {
            let _ = answer(read);
        }
        self.world.sync();
        let shows = |end: &PresentEnd| {
            matches!(
                end,
                PresentEnd::Presented
                    | PresentEnd::Failed(PresentError::TextureInvalid | PresentError::TextureDestroyed)
            )
        };
        let ends: Vec<_> = (1..=last).map(|sequence| self.world.end_of(sequence)).collect();
        let newest = ends.iter().rposition(shows).map_or(0, |index| index + 1);
        let superseded =
            ends.iter().rposition(|end| matches!(end, PresentEnd::Superseded)).map_or(0, |i| i + 1);
        assert!(superseded <= newest, "{superseded} was superseded by nothing that is shown");
        let expected = self.pixels[newest];
        assert_eq!(self.world.read_pixel(), expected);
        // The renderer catches up; what was held back is offered when it locks.
        for _ in 0..1000 {
            self.draw(usize::MAX);
            if self.world.shown() == expected {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(self.world.shown(), expected);
        self.world.acknowledged();
        drop(self.reads);
        self.world.presenter.destroy_context(CONTEXT).unwrap();
        self.world.sync();
        assert_eq!(self.world.gpu.buffers(), 0, "the hub is empty");
        let mut returned = self.world.recorder.get(|record| record.ids.clone());
        assert_eq!(returned.len(), 2 * self.handed_in + buffer_ids);
        returned.sort_by_key(|id| format!("{id:?}"));
        returned.dedup();
        assert_eq!(returned.len(), 2 * self.handed_in + buffer_ids, "each comes back once");
        assert_eq!(returned.iter().filter(|id| matches!(id, ReturnedId::Buffer(_))).count(), buffer_ids);
    }

    fn finish_all(&self) {
        self.world.gpu.finish(super::world::device(0));
        self.world.gpu.finish(super::world::device(1));
    }
}

proptest! {
    // More with PROPTEST_CASES. A failing history is printed step by step, as small as it gets.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn random_histories_end_well(ids in prop_oneof![Just(0u32), 1..6u32], steps in prop::collection::vec(step(), 1..80)) {
        let buffer_ids = match ids {
            0 => BufferIds::Allocated,
            count => BufferIds::Provided((1..=count).map(|id| fake::buffer(100_000 + id)).collect()),
        };
        let mut history = History::new(buffer_ids);
        for step in steps {
            history.go(step);
        }
        history.end(ids as usize);
    }
}
