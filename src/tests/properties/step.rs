//! What may happen. `Debug` writes a script that is Rust.

use proptest::prelude::*;

/// A call, or a thing that happens to the GPU.
///
/// `at` is one of two presenters, `device` one of two devices of each. A batch is open from a present that is
/// `batched` until something submits: the steps in between happen meanwhile. What is not `racing` waits until
/// the pollers have done their part, so that a script without it happens always in the same way.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// With so many buffer ids of the engine's, or with wgpu-core's.
    Create {
        at: usize,
        context: u64,
        owner: u64,
        ids: usize,
    },
    /// A compositor has one key for each context.
    SetKey {
        at: usize,
        context: u64,
        compositor: u32,
    },
    Present {
        at: usize,
        context: u64,
        epoch: u64,
        texture: Texture,
        batched: bool,
    },
    /// So often.
    Clear {
        at: usize,
        context: u64,
        epoch: u64,
        size: (u32, u32),
        opaque: bool,
        times: usize,
    },
    Submit {
        at: usize,
    },
    Read {
        at: usize,
        context: u64,
    },
    Capture {
        at: usize,
        context: u64,
        texture: Texture,
    },
    /// Script lets go of the images that it got.
    DropSnapshots,
    Wait {
        context: u64,
        epoch: u64,
        patient: bool,
    },
    Destroy {
        at: usize,
        context: u64,
    },
    DestroyAfter {
        at: usize,
        context: u64,
        transaction: u64,
    },
    TransactionDone {
        compositor: u32,
        transaction: u64,
    },
    CompositorGone {
        compositor: u32,
    },
    /// Through a presenter, or the map.
    DestroyOwner {
        at: Option<usize>,
        owner: u64,
    },
    Trim {
        at: usize,
        owner: u64,
    },
    Maintain {
        at: usize,
    },
    /// For counts and memory, and that the device's closures run.
    Ask {
        at: usize,
        device: usize,
    },
    Finish {
        at: usize,
        device: usize,
        racing: bool,
    },
    Lose {
        at: usize,
        device: usize,
        racing: bool,
    },
    DestroyDevice {
        at: usize,
        device: usize,
    },
    /// Another one takes its place.
    DropDevice {
        at: usize,
        device: usize,
    },
    FailCreations {
        at: usize,
        count: usize,
    },
    FailSubmit {
        at: usize,
        may_be_in_flight: bool,
    },
    FailMappings {
        at: usize,
        count: usize,
    },
    /// An update that it was told of: the last, or one so many before.
    Lock {
        renderer: usize,
        context: u64,
        before: usize,
        generation: bool,
    },
    /// One of its locks.
    Unlock {
        renderer: usize,
        nth: usize,
    },
    /// Another one takes its place, here and below.
    DropRenderer {
        renderer: usize,
    },
    DropPresenter {
        at: usize,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Texture {
    pub(super) device: usize,
    pub(super) size: (u32, u32),
    pub(super) rgba: bool,
    pub(super) opaque: bool,
    pub(super) trouble: Trouble,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Good,
    Invalid,
    Destroyed,
    WrongDevice,
    UnsupportedFormat,
    TooLarge,
}

fn at() -> impl Strategy<Value = usize> + Clone {
    prop_oneof![7 => Just(0usize), 1 => Just(1usize)]
}

/// The last one is seldom there.
fn context() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![6 => Just(0u64), 4 => Just(1u64), 2 => Just(2u64), 1 => Just(3u64)]
}

fn size() -> impl Strategy<Value = (u32, u32)> {
    prop_oneof![
        6 => Just((4, 2)),
        2 => Just((1, 1)),
        2 => Just((9, 9)),
        2 => Just((70, 30)),
        2 => Just((5, 1)),
        1 => Just((0, 3)),
    ]
}

fn texture() -> impl Strategy<Value = Texture> {
    let trouble = prop_oneof![
        20 => Just(Trouble::Good),
        1 => Just(Trouble::Invalid),
        1 => Just(Trouble::Destroyed),
        1 => Just(Trouble::WrongDevice),
        1 => Just(Trouble::UnsupportedFormat),
        1 => Just(Trouble::TooLarge),
    ];
    (at(), size(), prop::bool::weighted(0.1), prop::bool::weighted(0.2), trouble)
        .prop_map(|(device, size, rgba, opaque, trouble)| Texture { device, size, rgba, opaque, trouble })
}

fn create() -> impl Strategy<Value = Step> {
    let ids = prop_oneof![3 => Just(0usize), 1 => 1..6usize];
    (at(), context(), 0..3u64, ids).prop_map(|(at, context, owner, ids)| Step::Create {
        at,
        context,
        owner,
        ids,
    })
}

fn set_key() -> impl Strategy<Value = Step> {
    (at(), context(), 1..3u32).prop_map(|(at, context, compositor)| Step::SetKey { at, context, compositor })
}

fn present() -> impl Strategy<Value = Step> {
    (at(), context(), 0..30u64, texture(), any::<bool>()).prop_map(
        |(at, context, epoch, texture, batched)| Step::Present { at, context, epoch, texture, batched },
    )
}

fn clear() -> impl Strategy<Value = Step> {
    // More than there are generations, now and then.
    let times = prop_oneof![50 => Just(1usize), 1 => Just(300usize)];
    (at(), context(), 0..30u64, size(), any::<bool>(), times).prop_map(
        |(at, context, epoch, size, opaque, times)| Step::Clear { at, context, epoch, size, opaque, times },
    )
}

/// What ends contexts.
fn ending() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (at(), context()).prop_map(|(at, context)| Step::Destroy { at, context }),
        2 => (at(), context(), 0..4u64).prop_map(|(at, context, transaction)| Step::DestroyAfter {
            at,
            context,
            transaction
        }),
        1 => (prop::option::of(at()), 0..4u64).prop_map(|(at, owner)| Step::DestroyOwner { at, owner }),
        1 => at().prop_map(|at| Step::DropPresenter { at }),
    ]
}

fn compositor() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..3u32, 0..4u64)
            .prop_map(|(compositor, transaction)| Step::TransactionDone { compositor, transaction }),
        1 => (1..3u32).prop_map(|compositor| Step::CompositorGone { compositor }),
    ]
}

fn failure() -> impl Strategy<Value = Step> {
    prop_oneof![
        (at(), 1..3usize).prop_map(|(at, count)| Step::FailCreations { at, count }),
        (at(), prop::bool::weighted(0.2))
            .prop_map(|(at, may_be_in_flight)| Step::FailSubmit { at, may_be_in_flight }),
        (at(), 1..3usize).prop_map(|(at, count)| Step::FailMappings { at, count }),
    ]
}

fn device_ends() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (at(), at(), any::<bool>()).prop_map(|(at, device, racing)| Step::Lose { at, device, racing }),
        1 => (at(), at()).prop_map(|(at, device)| Step::DestroyDevice { at, device }),
        2 => (at(), at()).prop_map(|(at, device)| Step::DropDevice { at, device }),
    ]
}

fn renderer() -> impl Strategy<Value = Step> {
    let before = prop_oneof![3 => Just(0usize), 1 => 1..8usize];
    prop_oneof![
        20 => (0..3usize, context(), before, prop::bool::weighted(0.9)).prop_map(
            |(renderer, context, before, generation)| Step::Lock { renderer, context, before, generation }
        ),
        16 => (0..3usize, 0..4usize).prop_map(|(renderer, nth)| Step::Unlock { renderer, nth }),
        1 => (0..3usize).prop_map(|renderer| Step::DropRenderer { renderer }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => present(),
        5 => clear(),
        4 => at().prop_map(|at| Step::Submit { at }),
        12 => (at(), at(), any::<bool>())
            .prop_map(|(at, device, racing)| Step::Finish { at, device, racing }),
        24 => renderer(),
        4 => (at(), context()).prop_map(|(at, context)| Step::Read { at, context }),
        3 => (at(), context(), texture())
            .prop_map(|(at, context, texture)| Step::Capture { at, context, texture }),
        1 => Just(Step::DropSnapshots),
        3 => (context(), 0..40u64, prop::bool::weighted(0.8))
            .prop_map(|(context, epoch, patient)| Step::Wait { context, epoch, patient }),
        6 => create(),
        4 => set_key(),
        4 => ending(),
        2 => compositor(),
        3 => failure(),
        1 => device_ends(),
        1 => (at(), 0..3u64).prop_map(|(at, owner)| Step::Trim { at, owner }),
        2 => at().prop_map(|at| Step::Maintain { at }),
        1 => (at(), at()).prop_map(|(at, device)| Step::Ask { at, device }),
    ]
}

/// Begins with a page: three contexts, most of them with a key.
pub(super) fn script() -> impl Strategy<Value = Vec<Step>> {
    let ids = || prop_oneof![3 => Just(0usize), 1 => 1..6usize];
    let page = (ids(), ids(), ids(), any::<bool>()).prop_map(|(first, second, third, key)| {
        let create = |(context, ids)| Step::Create { at: 0, context, owner: context % 2, ids };
        let set_key = |context| Step::SetKey { at: 0, context, compositor: 1 };
        let contexts = [(0, first), (1, second), (2, third)].map(create).into_iter();
        contexts.chain((0..2 + u64::from(key)).map(set_key)).collect::<Vec<_>>()
    });
    (page, prop::collection::vec(step(), 1..90)).prop_map(|(mut script, steps)| {
        script.extend(steps);
        script
    })
}
