//! The image of one context, and its generations: frames that are not copied from anything, and two renderers that build and render at any
//! time.

use std::sync::Arc;
use std::time::Duration;

use euclid::default::Size2D;
use webrender_api::ImageDescriptorFlags;

use super::machine::{CONTEXT, KEY};
use super::offers::{Table, Weakened};
use crate::delivery::{
    CompositorImage, Fallback, Forgotten, Generations, HandlerId, ImageKeys, LockAnswer, Locked, Outbox,
    Recipients,
};
use crate::frame::testing::{frame_layout, marked_frame};
use crate::frame::{Frame, FrameLayout, SharedFrame, WeakFrame};
use crate::tests::oracle::{Compositor, Offer, Oracle, Picture, Request, Upload, Witness, byte_len};
use crate::tests::scripts::{find, run_all, scripts};
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
    /// A renderer locks once more what it locked last, for another tile.
    Again {
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
            795..=819 => Self::Again { renderer: usize::from(below(4) == 3) },
            820..=989 => Self::Render { renderer: usize::from(below(4) == 3) },
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

/// The image of a context.
pub(super) trait Image {
    /// The image key is set. This frame is shown first.
    fn begin(&mut self, frame: SharedFrame);

    /// A new frame is the newest one.
    fn show(&mut self, frame: SharedFrame);

    fn lock(&mut self, handler: HandlerId, generation: Option<u8>) -> Locked;

    /// The context ends, and another one is created with its id.
    fn end(&mut self);
}

/// The image as the crate has it.
struct Real {
    image: CompositorImage,
    outbox: Arc<Outbox>,
    fallback: Arc<Fallback>,
}

impl Real {
    fn new(witness: &Arc<Witness>, fallback: &Arc<Fallback>) -> Self {
        let options = witness.options(0);
        let outbox = Arc::new(Outbox::new(Recipients {
            sink: Box::new(witness.sink(0)),
            on_outcome: options.on_outcome,
            on_id: options.on_id,
            wake: options.wake,
        }));
        let generations = Generations::new(Forgotten::default());
        let image = CompositorImage::new(CONTEXT, generations, outbox.clone(), fallback.clone());
        Self { image, outbox, fallback: fallback.clone() }
    }
}

impl Image for Real {
    fn begin(&mut self, frame: SharedFrame) {
        let claim = Arc::<ImageKeys>::default().claim(KEY, CONTEXT, &self.outbox).expect("it is free");
        self.image.set_key(claim, || frame);
        self.outbox.drain();
    }

    fn show(&mut self, frame: SharedFrame) {
        self.image.show(frame, CanvasEpoch(0));
        self.outbox.drain();
    }

    fn lock(&mut self, handler: HandlerId, generation: Option<u8>) -> Locked {
        let (answer, _) = self.image.lock(handler, generation);
        let answer = answer.expect("there is an image");
        let is_padded = matches!(answer, LockAnswer::TooShort(..));
        let locked = self.fallback.provide(answer).expect("there is memory");
        if is_padded {
            self.image.keep_padded(handler, &locked);
        }
        self.outbox.drain();
        locked
    }

    fn end(&mut self) {
        let (generations, _) = self.image.destroy();
        let (outbox, fallback) = (self.outbox.clone(), self.fallback.clone());
        self.image = CompositorImage::new(CONTEXT, generations, outbox, fallback);
        self.outbox.drain();
    }
}

struct World {
    image: Box<dyn Image>,
    witness: Arc<Witness>,
    compositors: [Compositor; RENDERERS],
    last_locked: [Option<Offer>; RENDERERS],
    alive: Vec<WeakFrame>,
    newest: u32,
}

impl World {
    fn new<I: Image + 'static>(image: impl FnOnce(&Arc<Witness>) -> I) -> Self {
        let witness = Witness::new(Oracle::new(FrameMemoryKind::Owned), Duration::ZERO);
        let mut world = Self {
            image: Box::new(image(&witness)),
            witness,
            compositors: Default::default(),
            last_locked: [None; RENDERERS],
            alive: Vec::new(),
            newest: 0,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.witness.tell(|oracle| {
            oracle.begins(0, CONTEXT, OwnerId(0), (1, 1).into());
            oracle.sets_key(0, CONTEXT, KEY);
        });
        self.image.begin(Frame::cleared(AlphaMode::Premultiplied).into());
    }

    fn go(&mut self, step: Step) {
        match step {
            Step::Offer { layout: index, count } => (0..count).for_each(|_| self.present(layout(index))),
            Step::Build { renderer, count, each, visible } => self.build(renderer, count, each, visible),
            Step::Render { renderer } => self.render(renderer),
            Step::Again { renderer } => {
                if let Some(offer) = self.last_locked[renderer] {
                    self.lock(renderer, Upload::again(offer));
                }
            }
            Step::LockLast { renderer } => self.lock_last(renderer),
            Step::End => {
                self.witness.tell(|oracle| oracle.destroys(0, CONTEXT, None));
                self.image.end();
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
        self.image.show(frame);
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
            self.lock(renderer, upload);
        }
    }

    fn lock(&mut self, renderer: usize, upload: Upload) {
        let offer = upload.offer;
        self.last_locked[renderer] = Some(offer);
        self.witness.tell(|oracle| oracle.locks(&offer));
        let locked = self.image.lock(HandlerId(renderer as u64), Some(offer.generation));
        let needed = byte_len(&offer.descriptor);
        let is_opaque = offer.descriptor.flags.contains(ImageDescriptorFlags::IS_OPAQUE);
        // The frame is taken for what is described.
        let (number, len) = (mark(locked.bytes()), len(&locked));
        let opaque = is_opaque && (number > 0 || matches!(locked, Locked::Frame(_)));
        let seen = Picture { number, size: offer.descriptor.size.to_u32().cast_unit(), opaque };
        let compositor = &mut self.compositors[renderer];
        self.witness.tell(|oracle| {
            oracle.rule(len >= needed, || format!("{len} bytes are too few: {offer:?}"));
            compositor.saw(oracle, &upload, Some(seen));
        });
    }

    fn lock_last(&mut self, renderer: usize) {
        let lock = self.witness.tell(|oracle| oracle.locks_last(CONTEXT));
        let len = len(&self.image.lock(HandlerId(renderer as u64), None));
        self.compositors[renderer].locked_another(CONTEXT);
        self.last_locked[renderer] = None;
        self.witness.tell(|oracle| {
            oracle.saw_last(CONTEXT, lock, len);
            oracle.told_last();
        });
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
        Locked::Substitute(_) => locked.bytes().len(),
    }
}

fn fallback() -> Arc<Fallback> {
    let fallback = Arc::<Fallback>::default();
    for renderer in 0..RENDERERS {
        assert_eq!(fallback.add_renderer(), HandlerId(renderer as u64));
    }
    fallback
}

fn run(mut world: World, steps: &[Step]) -> Vec<String> {
    steps.iter().for_each(|step| world.go(*step));
    world.end()
}

#[test]
fn the_newest_frame_of_the_right_layout_answers_in_200_000_histories() {
    let fallback = fallback();
    run_all(200_000, scripts(24, Step::random), |steps| {
        run(World::new(|witness| Real::new(witness, &fallback)), steps)
    });
}

// The other renderer shows other canvases, and never draws this one.
#[test]
fn a_frame_of_a_size_that_was_left_goes_when_some_renderer_has_had_time_to_draw_it() {
    let fallback = fallback();
    let witness = Witness::new(Oracle::new(FrameMemoryKind::Owned), Duration::ZERO);
    let mut real = Real::new(&witness, &fallback);
    let frame = |width, mark| marked_frame(frame_layout(Size2D::new(width, 2)), mark);
    real.begin(frame(3, 1));
    let left = frame(4, 2);
    let weak = left.downgrade();
    real.show(left);
    real.show(frame(3, 3));
    for _ in 0..3 {
        drop(real.image.settle());
        assert!(weak.upgrade().is_some(), "nobody has drawn");
    }
    // The generation of the newest one.
    assert_eq!(mark(real.lock(HandlerId(0), Some(0)).bytes()), 3);
    drop(real.image.settle());
    assert!(weak.upgrade().is_none());
}

/// The table knows no padding, so nothing is locked without a generation, and no id is used again.
fn run_table(weakened: Weakened, fallback: &Arc<Fallback>, steps: &[Step]) -> Vec<String> {
    let is_known = |step: &&Step| !matches!(step, Step::LockLast { .. } | Step::End);
    let steps = Vec::from_iter(steps.iter().filter(is_known).copied());
    run(World::new(|witness| Table::new(weakened, witness, fallback)), &steps)
}

#[test]
fn the_table_of_rules_does_the_same_and_no_rule_can_be_left_out() {
    let fallback = fallback();
    run_all(20_000, scripts(24, Step::random), |steps| run_table(Weakened::Nothing, &fallback, steps));
    for (weakened, expected) in [
        (Weakened::HoldsBack, "is older than"),
        (Weakened::IgnoresLayouts, "is issued again"),
        (Weakened::RepeatsWhatWasLocked, "is shown, not"),
        (Weakened::AnswersAnew, "is seen after"),
        (Weakened::AnswersWithAnyLayout, "does not belong here"),
        (Weakened::KeepsOneFrame, "number: 0"),
    ] {
        let run = |steps: &Vec<Step>| run_table(weakened, &fallback, steps);
        let found = find(200_000, scripts(24, Step::random), run);
        let (steps, violation) = found.unwrap_or_else(|| panic!("{weakened:?} does no harm"));
        assert!(violation.contains(expected), "{weakened:?}: {violation}\nafter {steps:#?}");
    }
}

const DRAW: [Step; 2] = [
    Step::Build { renderer: 0, count: usize::MAX, each: false, visible: true },
    Step::Render { renderer: 0 },
];

fn offers(layouts: impl IntoIterator<Item = u32>) -> Vec<Step> {
    layouts.into_iter().map(|layout| Step::Offer { layout, count: 1 }).collect()
}

#[rstest::rstest]
#[case::hidden_for_300_presents([offers([2]), DRAW.to_vec(), offers([2; 300]), DRAW.to_vec()])]
#[case::six_sizes_between_two_renders([offers(2..8), DRAW.to_vec(), DRAW.to_vec(), vec![]])]
#[case::two_sizes_in_each_render([offers([2, 3]), DRAW.to_vec(), offers([4, 5]), DRAW.to_vec()])]
fn the_newest_frame_is_seen_at_once_where_others_are_held_back(#[case] steps: [Vec<Step>; 4]) {
    let (fallback, steps) = (fallback(), steps.concat());
    let real = run(World::new(|witness| Real::new(witness, &fallback)), &steps);
    assert_eq!(real, [""; 0]);
    assert_eq!(run_table(Weakened::Nothing, &fallback, &steps), [""; 0]);
    let violations = run_table(Weakened::HoldsBack, &fallback, &steps);
    assert!(violations.iter().any(|violation| violation.contains("is older than")), "{violations:?}");
}
