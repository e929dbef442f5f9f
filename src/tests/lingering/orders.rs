//! Every way in which a context can end, in random orders, against a model of one context.

use proptest::prelude::*;
use webrender_api::ExternalImageSource;

use super::super::world::*;
use super::{COMPOSITOR, ID};
use crate::gpu::fake;
use crate::{BufferIds, ContextDescriptor, TransactionId};

#[derive(Clone, Copy, Debug)]
enum Step {
    Present,
    Finish,
    DestroyAfter(u64),
    Destroy,
    DestroyOwner,
    Report(u64),
    Lock,
    Unlock,
    Create,
    Maintain,
    DropPresenter,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Present),
        2 => Just(Step::Finish),
        3 => (0..6u64).prop_map(Step::DestroyAfter),
        1 => Just(Step::Destroy),
        1 => Just(Step::DestroyOwner),
        2 => (0..6u64).prop_map(Step::Report),
        2 => Just(Step::Lock),
        1 => Just(Step::Unlock),
        3 => Just(Step::Create),
        1 => Just(Step::Maintain),
        1 => Just(Step::DropPresenter),
    ]
}

/// The context, as the engine and the compositor may see it.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Model {
    None,
    Alive,
    /// Until this transaction is done.
    Lingering(u64),
}

fn every_order_ends_well(memory: FrameMemoryKind, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let World { gpu, map, recorder, presenter, mut images, .. } = World::empty(memory);
    let mut presenter = Some(presenter);
    let (mut model, mut done, mut lives, mut locks, mut presents) = (Model::None, None, 0, 0, 0);
    for step in steps {
        match (step, &mut presenter) {
            (Step::Report(transaction), _) => {
                map.transaction_done(COMPOSITOR, TransactionId(transaction));
                done = done.max(Some(transaction));
                if matches!(model, Model::Lingering(until) if until <= transaction) {
                    model = Model::None;
                }
            }
            (Step::DestroyOwner, _) => {
                prop_assert_eq!(map.destroy_owner(PAGE), usize::from(model != Model::None));
                model = Model::None;
            }
            (Step::Lock, _) => {
                let locked = matches!(images.lock(ID.into(), None), ExternalImageSource::RawData(_));
                prop_assert!(locked || model == Model::None);
                locks += usize::from(locked);
            }
            (Step::Unlock, _) if locks > 0 => {
                images.unlock(ID.into(), None);
                locks -= 1;
            }
            (Step::Finish, _) => gpu.finish(device(0)),
            (Step::DropPresenter, presenter) => {
                *presenter = None;
                model = Model::None;
            }
            (Step::Present, Some(presenter)) => {
                let result = present(&gpu, presenter, ID, RED);
                prop_assert_eq!(result.is_ok(), model == Model::Alive);
                presents += usize::from(result.is_ok());
            }
            (Step::DestroyAfter(transaction), Some(presenter)) => {
                let result = presenter.destroy_context_after(ID, TransactionId(transaction));
                prop_assert_eq!(result.is_ok(), model == Model::Alive);
                if model == Model::Alive {
                    let over = done >= Some(transaction);
                    model = if over { Model::None } else { Model::Lingering(transaction) };
                }
            }
            (Step::Destroy, Some(presenter)) => {
                prop_assert_eq!(presenter.destroy_context(ID).is_ok(), model == Model::Alive);
                if model == Model::Alive {
                    model = Model::None;
                }
            }
            (Step::Create, Some(presenter)) => {
                let buffer_ids = BufferIds::Provided(vec![fake::buffer(500_000 + lives)]);
                let new = ContextDescriptor { buffer_ids, ..descriptor(PAGE) };
                let created = presenter.create_context(ID, new).is_ok();
                prop_assert_eq!(created, model == Model::None);
                if created {
                    presenter.set_image_key(ID, key(10)).unwrap();
                    lives += 1;
                    model = Model::Alive;
                }
            }
            (Step::Maintain, Some(presenter)) => presenter.maintain(),
            _ => {}
        }
        let there = matches!(images.lock(ID.into(), Some(0)), ExternalImageSource::RawData(_));
        prop_assert!(there || model == Model::None, "{:?}", model);
        if there {
            images.unlock(ID.into(), Some(0));
        }
    }
    drop(presenter);
    recorder.assert_ids_returned_once(lives as usize);
    prop_assert_eq!(recorder.get(|record| record.outcomes.values().map(Vec::len).sum::<usize>()), presents);
    prop_assert_eq!(gpu.buffers(), 0);
    prop_assert_eq!(recorder.assert_lives(10), lives as usize);
    Ok(())
}

#[rstest]
fn every_order_of_destruction_ends_well(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) };
    proptest!(config, |(steps in prop::collection::vec(step(), 1..40))| every_order_ends_well(memory, steps)?);
}
