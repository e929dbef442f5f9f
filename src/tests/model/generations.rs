//! The image of one context, and its generations: frames that are not copied from anything, and two renderers that build and render at any
//! time.

use std::sync::Arc;
use std::time::Duration;

use euclid::default::Size2D;
use webrender_api::ImageDescriptorFlags;

use super::machine::{CONTEXT, KEY};
use crate::delivery::{
    CompositorImage, Fallback, Forgotten, Generations, HandlerId, Locked, Outbox, Recipients,
};
use crate::frame::testing::{frame_layout, marked_frame};
use crate::frame::{Frame, FrameLayout, WeakFrame};
use crate::tests::oracle::{Compositor, Oracle, Picture, Request, Witness, byte_len};
use crate::tests::scripts::{run_all, scripts};
use crate::{AlphaMode, CanvasEpoch, FrameMemoryKind, OwnerId, PresentEnd, PresentOutcome};

/// Frames larger than one pixel that are kept for updates: one of each layout here.
const MOST_LARGE: usize = 4;
const RENDERERS: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// New frames of one layout.
    Offer {
        layout: u32,
        count: u32,
    },
    /// A renderer receives so many updates, and builds a frame of each of them or of the last; or of none, if the image is not visible.
    Build {
        renderer: usize,
        count: usize,
        each: bool,
        visible: bool,
    },
    Render {
        renderer: usize,
    },
    /// A renderer locks without a generation.
    LockLast {
        renderer: usize,
    },
    /// The context ends, and another one gets its id.
    End,
}

impl Step {
    fn random(below: &mut dyn FnMut(u32) -> u32) -> Self {
        match below(1000) {
            0..=499 => Self::Offer { layout: below(6), count: 1 },
            500 => Self::Offer { layout: below(6), count: 1 + below(300) },
            501..=789 => {
                let renderer = usize::from(below(4) == 3);
                let count = if below(4) == 3 { usize::MAX } else { below(6) as usize };
                Self::Build { renderer, count, each: below(2) == 1, visible: below(6) < 5 }
            }
            790..=794 => Self::LockLast { renderer: usize::from(below(4) == 3) },
            795..=989 => Self::Render { renderer: usize::from(below(4) == 3) },
            _ => Self::End,
        }
    }
}

fn layout(index: u32) -> FrameLayout {
    match index {
        0 => FrameLayout::cleared(AlphaMode::Opaque),
        1 => FrameLayout::cleared(AlphaMode::Premultiplied),
        width => frame_layout(Size2D::new(width, width)),
    }
}

struct World {
    image: CompositorImage,
    outbox: Arc<Outbox>,
    fallback: Arc<Fallback>,
    witness: Arc<Witness>,
    compositors: [Compositor; RENDERERS],
    alive: Vec<WeakFrame>,
    newest: u32,
}

impl World {
    fn new(fallback: &Arc<Fallback>) -> Self {
        let witness = Witness::new(Oracle::new(FrameMemoryKind::Owned), Duration::ZERO);
        let options = witness.options(0);
        let outbox = Arc::new(Outbox::new(Recipients {
            sink: witness.sink(0),
            on_outcome: options.on_outcome,
            on_id: options.on_id,
            wake: options.wake,
        }));
        let fallback = fallback.clone();
        let image = CompositorImage::new(
            CONTEXT,
            Generations::new(Forgotten::default()),
            outbox.clone(),
            fallback.clone(),
        );
        let compositors = Default::default();
        let mut world = Self { image, outbox, fallback, witness, compositors, alive: Vec::new(), newest: 0 };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.witness.tell(|oracle| {
            oracle.begins(0, CONTEXT, OwnerId(0), (1, 1).into(), 0);
            oracle.sets_key(0, CONTEXT, KEY);
        });
        self.image.set_key(KEY, || Frame::cleared(AlphaMode::Premultiplied).into());
        self.outbox.drain();
    }

    fn go(&mut self, step: Step) {
        match step {
            Step::Offer { layout: index, count } => (0..count).for_each(|_| self.present(layout(index))),
            Step::Build { renderer, count, each, visible } => self.build(renderer, count, each, visible),
            Step::Render { renderer } => self.render(renderer),
            Step::LockLast { renderer } => self.lock_last(renderer),
            Step::End => {
                self.witness.tell(|oracle| oracle.destroys(0, CONTEXT, None));
                let (generations, _) = self.image.destroy();
                let (outbox, fallback) = (self.outbox.clone(), self.fallback.clone());
                self.image = CompositorImage::new(CONTEXT, generations, outbox, fallback);
                self.begin();
            }
        }
        self.alive.retain(|frame| frame.upgrade().is_some());
        let kept = self.alive.len();
        let are_few = kept <= MOST_LARGE + RENDERERS;
        self.witness.tell(|oracle| oracle.rule(are_few, || format!("{kept} large frames are kept")));
    }

    fn present(&mut self, layout: FrameLayout) {
        self.newest += 1;
        let opaque = layout.alpha_mode() == AlphaMode::Opaque;
        let picture = Picture { number: self.newest, size: layout.size(), opaque };
        let present = |oracle: &mut Oracle| oracle.presents(0, CONTEXT, Request::cleared(picture, 0));
        let sequence = self.witness.tell(present).expect("the context lives");
        let frame = marked_frame(layout, self.newest);
        self.alive.extend((!layout.is_one_pixel()).then(|| frame.downgrade()));
        let epoch = CanvasEpoch(0);
        self.image.show(frame, epoch);
        self.outbox.drain();
        let outcome = PresentOutcome { context: CONTEXT, sequence, epoch, end: PresentEnd::Presented };
        self.witness.tell(|oracle| oracle.ended(0, &outcome));
    }

    fn build(&mut self, renderer: usize, count: usize, each: bool, visible: bool) {
        let compositor = &mut self.compositors[renderer];
        self.witness.tell(|oracle| {
            if !each {
                compositor.receive(oracle, count);
                compositor.build(oracle, |_| visible);
                return;
            }
            for _ in 0..count {
                if compositor.receive(oracle, 1) == 0 {
                    break;
                }
                compositor.build(oracle, |_| visible);
            }
        });
    }

    fn render(&mut self, renderer: usize) {
        for upload in self.compositors[renderer].render() {
            let offer = upload.offer;
            self.witness.tell(|oracle| oracle.locks(&offer));
            let locked = self.image.lock(HandlerId(renderer as u64), Some(offer.generation));
            let needed = byte_len(&offer.descriptor);
            let is_opaque = offer.descriptor.flags.contains(ImageDescriptorFlags::IS_OPAQUE);
            // The frame is taken for what is described.
            let locked = locked.expect("there is an image");
            let (number, len) = (mark(locked.bytes()), len(&locked));
            let opaque = is_opaque && (number > 0 || matches!(locked, Locked::Frame(_)));
            let seen = Picture { number, size: offer.descriptor.size.to_u32().cast_unit(), opaque };
            let compositor = &mut self.compositors[renderer];
            self.witness.tell(|oracle| {
                oracle.rule(len >= needed, || format!("{len} bytes are too few: {offer:?}"));
                compositor.saw(oracle, &upload, Some(seen));
            });
            self.outbox.drain();
        }
    }

    fn lock_last(&mut self, renderer: usize) {
        let lock = self.witness.tell(|oracle| oracle.locks_last(CONTEXT));
        let locked = self.image.lock(HandlerId(renderer as u64), None);
        let len = len(&locked.expect("there is an image"));
        self.compositors[renderer].locked_another(CONTEXT);
        self.witness.tell(|oracle| {
            oracle.saw_last(CONTEXT, lock, len);
            oracle.told_last();
        });
        self.outbox.drain();
    }

    /// The renderers draw everything, the second one after the first.
    fn end(mut self) -> Vec<String> {
        for renderer in 0..RENDERERS {
            loop {
                self.build(renderer, usize::MAX, false, true);
                self.render(renderer);
                let compositor = &self.compositors[renderer];
                if self.witness.tell(|oracle| compositor.has_received_all(oracle)) {
                    break;
                }
            }
        }
        let compositors = &self.compositors;
        self.witness.tell(|oracle| {
            oracle.quiet();
            compositors.iter().for_each(|compositor| compositor.judge(oracle));
            oracle.violations().to_vec()
        })
    }
}

fn mark(bytes: &[u8]) -> u32 {
    bytes.first_chunk().copied().map_or(0, u32::from_le_bytes)
}

/// Marked frames have four bytes, whatever their layout says.
fn len(locked: &Locked) -> usize {
    match locked {
        Locked::Frame(frame) => frame.layout().byte_len(),
        Locked::Bytes(bytes) => bytes.len(),
    }
}

#[test]
fn the_newest_frame_of_the_right_layout_answers_in_200_000_histories() {
    // It takes long to make.
    let fallback = Arc::<Fallback>::default();
    for renderer in 0..RENDERERS {
        assert_eq!(fallback.add_renderer(), HandlerId(renderer as u64));
    }
    run_all(200_000, scripts(24, Step::random), |steps| {
        let mut world = World::new(&fallback);
        steps.iter().for_each(|step| world.go(*step));
        world.end()
    });
}
