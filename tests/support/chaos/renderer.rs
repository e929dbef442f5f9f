//! A renderer that reads every byte of what it is offered, like several of WebRender's at once: it may skip updates, lock each
//! tile, hold locks for a while, and lag.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use webgpu_presentation::{AlphaMode, ContextMap, ExternalImages};
use webrender_api::{
    ExternalImageHandler, ExternalImageSource, ImageDescriptor, ImageDescriptorFlags, ImageFormat, ImageKey,
};
use wgpu_types::TextureFormat;

use super::choices::{Choices, Random};
use super::ledger::{Ledger, Offer, Shown};
use super::picture::{Life, Picture, number_of};

/// So many updates a renderer lags behind, at most.
const MOST_PAST: usize = 60;

/// Locks held at once, at most.
const MOST_HELD: usize = 3;

/// How long a frame that was held back may take until it is offered.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Renderer {
    name: &'static str,
    images: ExternalImages,
    ledger: Arc<Ledger>,
    random: Random,
    /// Offers that were drawn, of those that the ledger remembers.
    drawn: usize,
    /// What each image was offered last.
    last: HashMap<ImageKey, Offer>,
    /// The newest frame that was seen of each layout.
    seen: HashMap<(Life, Layout), u64>,
    held: Vec<Held>,
    /// Offers that were drawn or skipped before: a frame that was built long ago may be rendered late.
    past: VecDeque<Offer>,
}

type Layout = (i32, i32, ImageFormat, bool);

struct Held {
    offer: Offer,
    sight: Sight,
}

/// What a renderer saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// No such context.
    Invalid,
    /// Zeros: a cleared canvas, or nothing that fits.
    Blank,
    /// A cleared opaque canvas.
    Black,
    Picture(Arc<Picture>),
    /// Its bytes are not to be looked at.
    Unknown,
}

impl Renderer {
    pub fn new(name: &'static str, map: &ContextMap, ledger: &Arc<Ledger>, seed: u64) -> Self {
        Self {
            name,
            images: ExternalImages::new(map),
            ledger: ledger.clone(),
            random: Random::new(seed),
            drawn: 0,
            last: HashMap::new(),
            seen: HashMap::new(),
            held: Vec::new(),
            past: VecDeque::new(),
        }
    }

    /// Draws what was offered since the last time. Whether there was anything.
    pub fn draw(&mut self) -> bool {
        let offers = self.ledger.offers_from(self.drawn);
        self.drawn += offers.len();
        let any = !offers.is_empty();
        // A frame that is built draws what it was told last; frames may be skipped or not.
        let skips = self.random.one_in(2);
        for (index, offer) in offers.iter().enumerate() {
            self.last.insert(offer.key, *offer);
            let superseded = offers[index + 1..].iter().any(|later| later.key == offer.key);
            if !(skips && superseded) {
                self.draw_one(offer);
            }
            self.past.push_back(*offer);
        }
        // Fewer than there are generations, so that none is ambiguous.
        self.past.drain(..self.past.len().saturating_sub(MOST_PAST));
        if !self.past.is_empty() && self.random.one_in(16) {
            let late = self.past[self.random.below(self.past.len() as u32) as usize];
            self.draw_one(&late);
        }
        while self.held.len() > MOST_HELD || (!self.held.is_empty() && self.random.one_in(3)) {
            self.let_go();
        }
        any
    }

    fn draw_one(&mut self, offer: &Offer) {
        let mut sight = self.look(offer);
        if self.random.one_in(8) {
            // Another tile of the same frame, whatever was presented meanwhile.
            self.unlock(offer, &sight);
            std::thread::sleep(Duration::from_micros(self.random.below(500).into()));
            let tile = self.look(offer);
            // Unless nothing fitted, or the id names another context by now.
            if tile != sight && sight != Sight::Blank && !self.ledger.is_gone(offer.life) {
                self.fault(format!("tiles differ, {sight:?} and {tile:?}: {offer:?}"));
            }
            sight = tile;
        }
        if self.random.one_in(16) {
            // An engine that drops the generation: it cannot say what it expects.
            let _ = self.images.lock(offer.context.into(), None);
            self.images.unlock(offer.context.into());
        }
        if sight != Sight::Invalid && self.random.one_in(6) && !self.holds(offer) {
            self.held.push(Held { offer: *offer, sight });
        } else {
            self.unlock(offer, &sight);
        }
    }

    fn holds(&self, offer: &Offer) -> bool {
        self.held
            .iter()
            .any(|held| held.offer.context == offer.context && held.offer.generation == offer.generation)
    }

    /// Releases the lock that was held longest: what it reads has not changed, unless the id names another context by now.
    fn let_go(&mut self) {
        let again = self.look(&self.held[0].offer.clone());
        let held = self.held.remove(0);
        let another = match &again {
            Sight::Picture(picture) => picture.life != held.offer.life,
            _ => self.ledger.is_gone(held.offer.life),
        };
        if again != held.sight && !another {
            self.fault(format!("{:?} was locked, and became {again:?}", held.sight));
        }
        self.unlock(&held.offer, &again);
        self.unlock(&held.offer, &held.sight);
    }

    pub fn let_all_go(&mut self) {
        while !self.held.is_empty() {
            self.let_go();
        }
    }

    fn unlock(&mut self, offer: &Offer, sight: &Sight) {
        if *sight != Sight::Invalid {
            ExternalImageHandler::unlock(&mut self.images, offer.context.into(), offer.generation);
        }
    }

    /// Locks what was offered and reads it. To be unlocked.
    fn look(&mut self, offer: &Offer) -> Sight {
        let held = self.holds(offer);
        let sight = match self.images.lock(offer.context.into(), Some(offer.generation)) {
            ExternalImageSource::RawData(bytes) => see(&self.ledger, bytes, &offer.descriptor, offer.life),
            _ => Ok(Sight::Invalid),
        };
        let sight = sight.unwrap_or_else(|fault| {
            self.fault(format!("{fault}: {offer:?}"));
            Sight::Unknown
        });
        self.ledger.count(|tally| {
            tally.locks += 1;
            tally.blanks += u64::from(sight == Sight::Blank);
        });
        match &sight {
            Sight::Invalid if !self.ledger.is_gone(offer.life) => {
                self.fault(format!("a living context is invalid: {offer:?}"));
            }
            Sight::Picture(picture) => match picture.sequence {
                Some(sequence) if !held => {
                    let ImageDescriptor { size, format, flags, .. } = offer.descriptor;
                    let opaque = flags.contains(ImageDescriptorFlags::IS_OPAQUE);
                    let layout = (size.width, size.height, format, opaque);
                    let newest = self.seen.entry((picture.life, layout)).or_default();
                    let before = std::mem::replace(newest, sequence);
                    if before > sequence {
                        self.fault(format!("{sequence} was shown after {before}: {offer:?}"));
                    }
                }
                Some(_) => {}
                None => self.fault(format!("a get_image is on screen: {picture:?}")),
            },
            _ => {}
        }
        sight
    }

    fn fault(&self, what: String) {
        self.ledger.fault(format!("{}: {what}", self.name));
    }

    /// Draws until each of these images shows what its canvas does.
    pub fn catch_up(&mut self, images: &[(ImageKey, Life)]) {
        let deadline = Instant::now() + PATIENCE;
        self.let_all_go();
        for (key, life) in images {
            let expected = self.ledger.newest(*life).map(|(_, shown)| shown);
            loop {
                while self.draw() {}
                self.let_all_go();
                let Some(offer) = self.last.get(key).copied() else {
                    self.fault(format!("{key:?} of {life:?} was never offered"));
                    break;
                };
                let sight = self.look(&offer);
                self.unlock(&offer, &sight);
                let shows = match (&expected, &sight) {
                    (_, Sight::Unknown) => true,
                    (Some(Shown::Picture(picture)), Sight::Picture(seen)) => picture == seen,
                    (Some(Shown::Cleared { alpha_mode, .. }), Sight::Blank) => {
                        *alpha_mode == AlphaMode::Premultiplied
                    }
                    (Some(Shown::Cleared { alpha_mode, .. }), Sight::Black) => {
                        *alpha_mode == AlphaMode::Opaque
                    }
                    _ => false,
                };
                if shows {
                    break;
                }
                if Instant::now() > deadline {
                    self.fault(format!("{life:?} shows {sight:?} in the end, not {expected:?}"));
                    break;
                }
                // It was held back, and another thread offers it.
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let known: HashSet<_> = images.iter().copied().collect();
        self.last.retain(|key, offer| known.contains(&(*key, offer.life)));
        self.seen.retain(|(life, _), _| images.iter().any(|(_, known)| known == life));
        self.last.shrink_to_fit();
        self.seen.shrink_to_fit();
    }

    /// The ledger forgot all offers. All of them were drawn.
    pub fn forget(&mut self) {
        self.drawn = 0;
    }
}

/// What these bytes are, if they are something whole.
fn see(ledger: &Ledger, bytes: &[u8], descriptor: &ImageDescriptor, life: Life) -> Result<Sight, String> {
    let (width, height) = (descriptor.size.width as usize, descriptor.size.height as usize);
    let stride = descriptor.compute_stride() as usize;
    if bytes.len() < stride * height {
        return Err(format!("{} bytes are too few", bytes.len()));
    }
    if ledger.blind {
        return Ok(Sight::Unknown);
    }
    let format = match descriptor.format {
        ImageFormat::RGBA8 => TextureFormat::Rgba8Unorm,
        _ => TextureFormat::Bgra8Unorm,
    };
    let opaque = descriptor.flags.contains(ImageDescriptorFlags::IS_OPAQUE);
    let rows = || bytes.chunks(stride).take(height).map(|row| &row[..4 * width]);
    let sight = see_rows(ledger, rows, format)?;
    if let Sight::Picture(picture) = &sight {
        // A later life of the id answers with what fits.
        let stale = picture.life < life;
        let size = (picture.size.width as usize, picture.size.height as usize);
        if stale || size != (width, height) || opaque != (picture.alpha_mode == AlphaMode::Opaque) {
            return Err(format!("{picture:?} does not belong here"));
        }
    }
    Ok(sight)
}

/// What these rows are, if they are something whole.
pub fn see_rows<'a, R: Iterator<Item = &'a [u8]>>(
    ledger: &Ledger,
    rows: impl Fn() -> R,
    format: TextureFormat,
) -> Result<Sight, String> {
    let Some(first) = rows().next().and_then(<[u8]>::first_chunk::<4>) else { return Ok(Sight::Blank) };
    let number = number_of(*first, format);
    if number == 0 {
        let uniform = rows().all(|row| row.as_chunks::<4>().0.iter().all(|pixel| pixel == first));
        return match (uniform, first[3]) {
            (true, 0) => Ok(Sight::Blank),
            (true, 255) => Ok(Sight::Black),
            _ => Err(format!("a torn frame that begins with {first:?}")),
        };
    }
    let picture = ledger.picture(number).ok_or_else(|| format!("nobody drew {number}"))?;
    if picture.is(format, rows()) {
        Ok(Sight::Picture(picture))
    } else {
        Err(format!("a torn frame of {picture:?}"))
    }
}
