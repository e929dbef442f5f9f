//! The end of a history: everything finishes, and is what the model says.

use std::collections::HashMap;

use super::super::world::*;
use super::engine::Engine;
use super::history::History;
use super::model::{Life, Present, Read, State, Wait};
use super::step::Trouble;
use crate::gpu::fake;
use crate::{Awaited, ContextId, GetImageError, PresentEnd, PresentError};

/// How the presents of each life ended.
type Outcomes = Vec<Vec<PresentEnd>>;

impl History {
    pub(super) fn end(mut self) {
        self.finish();
        let ends = self.ends();
        self.check_ends(&ends);
        self.check_statistics(&ends);
        self.check_reads(&ends);
        self.check_shown(&ends);
        self.check_waits(&ends);
        self.check_nothing_left();
        self.check_images();
    }

    /// Lets all devices finish, until there is an end of everything.
    fn finish(&mut self) {
        for at in self.at {
            self.engines[at].presenter().batch().submit();
        }
        self.engines.iter().for_each(Engine::finish_all);
        for life in &self.lives {
            let presents: HashMap<_, _> = life.presents.iter().enumerate().collect();
            self.engines[life.at].recorder.until("all presents have ended", |record| {
                presents.iter().all(|(index, present)| {
                    let ends = record.outcomes.get(&(ContextId(life.id), *index as u64 + 1));
                    ends.is_some_and(|ends| ends.len() > present.nth)
                })
            });
        }
        (0..self.reads.len()).for_each(|read| self.images.until(read));
        for at in self.at {
            self.engines[at].presenter().maintain();
            self.engines[at].sync();
        }
    }

    /// Each present ended once, and was told of in its place (I1, R18).
    fn ends(&self) -> Outcomes {
        let end = |life: &Life, index, nth| {
            self.engines[life.at].end(life.id, index + 1, nth).expect("it has ended")
        };
        let ends = self.lives.iter().map(|life| {
            let presents = life.presents.iter().enumerate();
            presents.map(|(index, present)| end(life, index, present.nth)).collect()
        });
        for (at, engine) in self.engines.iter().enumerate() {
            let presents = self.lives.iter().filter(|life| life.at == at).map(|life| life.presents.len());
            engine.recorder.get(|record| {
                assert_eq!(record.order.len(), presents.sum::<usize>(), "each present ends once");
                let mut told = HashMap::new();
                let mut presented = HashMap::new();
                for present in &record.order {
                    let nth = told.entry(*present).or_insert(0);
                    let end = &record.outcomes[present][*nth];
                    if matches!(end, PresentEnd::Presented) {
                        let newest = presented.insert((present.0, *nth), present.1);
                        assert!(newest < Some(present.1), "{present:?} was presented after {newest:?}");
                    }
                    *nth += 1;
                }
            });
        }
        ends.collect()
    }

    /// There is a reason for each failure, and the newest that can be shown is.
    fn check_ends(&self, ends: &Outcomes) {
        for (life, ends) in self.lives.iter().zip(ends) {
            for (present, end) in life.presents.iter().zip(ends) {
                match end {
                    PresentEnd::Failed(error) => {
                        assert!(self.may_fail(life, present, error), "{present:?} of {life:?}: {error:?}");
                    }
                    end => assert_eq!(present.trouble, Trouble::Good, "{end:?}"),
                }
            }
            let superseded = ends.iter().rposition(|end| matches!(end, PresentEnd::Superseded));
            let (newest, _) = life.newest(ends, ends.len());
            // What superseded it may be lost.
            let engine = &self.engines[life.at];
            let is_lost =
                |index: usize| life.presents[index].device.is_some_and(|device| self.is_lost(engine, device));
            if let Some(superseded) = superseded
                && life.is_alive()
                && engine.may_lack_mappings == 0
                && !is_lost(superseded)
            {
                assert!(superseded < newest, "{superseded} was superseded by nothing that is shown");
            }
        }
        for (at, engine) in self.engines.iter().enumerate() {
            let lives = self.lives.iter().zip(ends).filter(|(life, _)| life.at == at);
            let ends = lives.flat_map(|(life, ends)| life.presents.iter().zip(ends));
            let errors = ends.filter_map(|(present, end)| match end {
                PresentEnd::Failed(error) => Some((present, error)),
                _ => None,
            });
            let errors: Vec<_> = errors.collect();
            let memory = errors.iter().filter(|(_, error)| matches!(error, PresentError::OutOfMemory));
            assert!(memory.count() <= engine.may_lack_memory);
            let mappings = errors.iter().filter(|(present, error)| {
                matches!(error, PresentError::DeviceLost)
                    && present.device.is_none_or(|device| !self.is_lost(engine, device))
            });
            assert!(mappings.count() <= engine.may_lack_mappings);
        }
    }

    fn is_lost(&self, engine: &Engine, device: u32) -> bool {
        engine.ended.contains(&device) || engine.gpu.is_lost(fake::device(device))
    }

    fn may_fail(&self, life: &Life, present: &Present, error: &PresentError) -> bool {
        let engine = &self.engines[life.at];
        match error {
            PresentError::TextureInvalid => present.trouble == Trouble::Invalid,
            PresentError::TextureDestroyed => present.trouble == Trouble::Destroyed,
            PresentError::WrongDevice => present.trouble == Trouble::WrongDevice,
            PresentError::UnsupportedFormat(_) => present.trouble == Trouble::UnsupportedFormat,
            PresentError::TooLarge(_) => present.trouble == Trouble::TooLarge,
            // They are counted.
            PresentError::OutOfMemory => engine.may_lack_memory > 0,
            PresentError::DeviceLost => {
                let device = present.device.expect("it has one");
                self.is_lost(engine, device) || engine.may_lack_mappings > 0
            }
            PresentError::RingExhausted => {
                let is_small = life.provided > 0 && self.is_portable();
                is_small || life.reads >= 8 || !life.is_on_one_device()
            }
            PresentError::ContextDestroyed => !life.is_alive(),
            _ => false,
        }
    }

    fn check_statistics(&self, ends: &Outcomes) {
        for (life, ends) in self.lives.iter().zip(ends).filter(|(life, _)| life.is_alive()) {
            let presenter = self.engines[life.at].presenter.as_ref().expect("it is there");
            let statistics = presenter.statistics(ContextId(life.id)).expect("it is alive");
            let count = |is: fn(&PresentEnd) -> bool| ends.iter().filter(|end| is(end)).count() as u64;
            assert_eq!(statistics.presented, count(|end| matches!(end, PresentEnd::Presented)));
            assert_eq!(statistics.superseded, count(|end| matches!(end, PresentEnd::Superseded)));
            assert_eq!(statistics.failed, count(|end| matches!(end, PresentEnd::Failed(_))));
            assert_eq!(statistics.in_flight, 0);
        }
    }

    /// Each read is answered once, with what was presented last or something newer, unchanged.
    fn check_reads(&self, ends: &Outcomes) {
        for (index, read) in self.reads.iter().enumerate() {
            self.images.get(|answers| {
                assert_eq!(answers[index].len(), 1, "each read is answered once");
                let answer = answers[index][0].as_ref().map(|image| image.picture());
                let Read { life, begun, texture } = read;
                match (life.map(|life| (&self.lives[life], &ends[life])), texture, answer) {
                    (None, _, Err(GetImageError::UnknownContext(_))) => {}
                    (Some((life, _)), _, Err(GetImageError::UnknownContext(_))) => assert!(!life.is_alive()),
                    (Some((life, _)), Some(texture), Err(GetImageError::Texture(error))) => {
                        assert!(!matches!(error, PresentError::ContextDestroyed));
                        assert!(self.may_fail(life, texture, error), "{texture:?} of {life:?}: {error:?}");
                    }
                    (Some(_), Some(texture), Ok(picture)) => {
                        assert_eq!(texture.trouble, Trouble::Good);
                        assert_eq!(picture, texture.picture);
                    }
                    (Some((life, ends)), None, Ok(picture)) => {
                        let (newest, shown) = life.newest(ends, *begun);
                        let later = life.presents.iter().zip(ends).skip(newest);
                        let mut later = later.filter_map(|(present, end)| match end {
                            PresentEnd::Superseded => Some(present.picture),
                            end => present.shows(end),
                        });
                        assert!(
                            shown == picture || later.any(|later| later == picture),
                            "{picture:?} is older than present {newest}"
                        );
                    }
                    (Some((life, ends)), None, Err(GetImageError::TooLarge(size))) => {
                        let (newest, shown) = life.newest(ends, *begun);
                        let mut later = life.presents.iter().skip(newest);
                        let is_it = |present: &Present| present.trouble == Trouble::TooLarge;
                        assert!(shown.size == *size || later.any(is_it), "{size:?} of {life:?}");
                    }
                    (_, _, answer) => panic!("{read:?}: {answer:?}"),
                }
            });
        }
    }

    /// All renderers that catch up show the newest good frame (R17).
    fn check_shown(&mut self, ends: &Outcomes) {
        self.renderers.iter_mut().for_each(super::renderer::Renderer::unlock_all);
        for (index, ends) in ends.iter().enumerate() {
            let life = &self.lives[index];
            let (at, context) = (life.at, life.id);
            if life.state == State::Gone || life.images.is_empty() {
                continue;
            }
            let (_, mut newest) = life.newest(ends, ends.len());
            if newest.is_cleared() {
                newest.size = size(1, 1);
            }
            for renderer in 0..self.renderers.len() {
                loop {
                    let offers = self.offers(index);
                    let (descriptor, generation) = *offers.last().expect("it has an image");
                    let renderer = &mut self.renderers[renderer];
                    let seen = renderer.lock(context, Some(index), Some(generation)).expect("it is there");
                    renderer.unlock(0);
                    let shown = seen.picture(&descriptor);
                    if shown == newest {
                        break;
                    }
                    // It was held back, and is told of by another thread.
                    let calls = |record: &Record| record.calls.len();
                    let known = self.engines[at].recorder.get(calls);
                    if self.offers(index).len() == offers.len() {
                        let what = format!("{newest:?} is offered, and not {shown:?}");
                        self.engines[at].recorder.until(&what, |record| calls(record) > known);
                    }
                }
            }
        }
    }

    /// Whoever waits for something that has ended was told.
    fn check_waits(&mut self, ends: &Outcomes) {
        for (index, Wait { context, epoch, patient }) in self.waits.iter().enumerate() {
            let answers = self.awaited.get(|answers| answers[index].clone());
            let lives = || self.lives.iter().zip(ends).filter(|(life, _)| life.id == *context);
            let presents = || {
                let presents = lives().flat_map(|(life, ends)| life.presents.iter().zip(ends));
                presents.filter(|(present, _)| present.epoch >= *epoch)
            };
            match &answers[..] {
                [] => {
                    assert!(*patient, "time was up");
                    let mut alive = lives().filter(|(life, _)| life.is_alive());
                    let ended = |life: &Life| life.presents.iter().any(|present| present.epoch >= *epoch);
                    assert!(!alive.any(|(life, _)| ended(life)), "{context}, {epoch} has ended");
                }
                [Awaited::TimedOut] => assert!(!patient),
                [Awaited::ContextGone] => assert!(lives().any(|(life, _)| !life.is_alive())),
                [Awaited::Presented { sequence, epoch: presented }] => {
                    let is_it = |(life, ends): (&Life, &Vec<PresentEnd>)| {
                        let index = *sequence as usize - 1;
                        life.presents.get(index).is_some_and(|present| present.epoch == presented.0)
                            && matches!(ends[index], PresentEnd::Presented)
                    };
                    assert!(presented.0 >= *epoch && lives().any(is_it));
                }
                [Awaited::Superseded { by }] => {
                    assert!(presents().any(|(_, end)| matches!(end, PresentEnd::Superseded)));
                    assert!(lives().any(|(life, _)| life.presents.len() as u64 >= *by));
                }
                [Awaited::Failed(_)] => {
                    assert!(presents().any(|(_, end)| matches!(end, PresentEnd::Failed(_))));
                }
                answers => panic!("{answers:?}"),
            }
        }
    }

    /// Contexts, presenters and the map go: every id is back once, the hub is empty, all who wait are told (R23).
    fn check_nothing_left(&mut self) {
        let alive: Vec<_> = self.lives.iter().filter(|life| life.is_alive()).map(|l| (l.at, l.id)).collect();
        for (at, context) in alive {
            self.engines[at].presenter().destroy_context(ContextId(context)).expect("it is alive");
        }
        (1..3).for_each(|compositor| self.map.compositor_gone(webrender_api::IdNamespace(compositor)));
        for at in self.at {
            self.engines[at].presenter().maintain();
            self.engines[at].sync();
        }
        for (at, engine) in self.engines.iter().enumerate() {
            assert_eq!(engine.gpu.buffers(), 0, "the hub of {at} is empty");
            assert_eq!(engine.gpu.textures(), 0, "textures of {at} are dropped");
            assert_eq!(engine.returned(), engine.handed_in, "each id comes back once");
        }
        let told = |engine: &Engine| {
            engine.recorder.get(|record| (record.calls.len(), record.order.len(), record.ids.len()))
        };
        let before: Vec<_> = self.engines.iter().map(told).collect();
        self.at.iter().for_each(|at| self.engines[*at].presenter = None);
        self.renderers = std::array::from_fn(|_| super::renderer::Renderer::new(&Default::default()));
        self.map = Default::default();
        assert_eq!(
            self.engines.iter().map(told).collect::<Vec<_>>(),
            before,
            "there was nothing more to tell"
        );
        for index in 0..self.waits.len() {
            assert_eq!(self.awaited.get(|answers| answers[index].len()), 1, "each wait is told once");
        }
        self.images.get(|answers| assert!(answers.iter().all(|answers| answers.len() == 1)));
    }

    /// What the compositor was told of each image: acknowledged epochs rose to the largest, it is deleted in the end
    /// (R16), and its byte order was one (R22).
    fn check_images(&self) {
        for (at, engine) in self.engines.iter().enumerate() {
            let told = engine.told();
            assert_eq!(told.iter().map(|told| told.key).collect::<Vec<_>>(), engine.images);
            for life in self.lives.iter().filter(|life| life.at == at) {
                let most = life.presents.iter().map(|present| present.epoch).max();
                let offers = life.images.iter().flat_map(|image| &told[*image].offers);
                let large = offers.filter(|(descriptor, _)| descriptor.size != (1, 1).into());
                let mut formats: Vec<_> = large.map(|(descriptor, _)| descriptor.format).collect();
                formats.dedup();
                assert!(formats.len() <= 1, "one byte order: {told:?}");
                for image in &life.images {
                    let told = &told[*image];
                    assert!(told.is_deleted, "{told:?}");
                    assert!(told.epochs.is_sorted(), "{told:?}");
                    let owed = life.presents.iter().filter(|present| present.image == Some(*image));
                    let owed = owed.map(|present| present.epoch).max();
                    let acknowledged = told.epochs.last().copied();
                    assert!(owed <= acknowledged, "{owed:?} is owed: {told:?}");
                    assert!(acknowledged <= most, "{most:?} is the largest: {told:?}");
                }
            }
        }
    }
}
