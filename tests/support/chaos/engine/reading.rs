//! What script reads, and whether it is what it must be.

use super::*;

/// A `get_image`.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) context: ContextId,
    pub(super) life: Option<Life>,
    /// What was presented last.
    pub(super) sequence: u64,
    /// What is to be seen, if a texture was read.
    pub(super) capture: Option<Capture>,
}

#[derive(Debug)]
pub(super) struct Capture {
    pub(super) picture: Arc<Picture>,
    pub(super) trouble: Trouble,
    pub(super) lost: bool,
    pub(super) device: DeviceId,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Seen {
    Image { sight: Sight, size: Size2D<u32>, alpha_mode: AlphaMode },
    Nothing(GetImageError),
}

impl Engine {
    /// Asks for an image.
    pub(super) fn ask(&mut self, slot: u32, texture: Option<&Texture>) -> u64 {
        self.asked += 1;
        let (asked, context) = (self.asked, ContextId(slot.into()));
        let of = self.slots.get(slot as usize).and_then(Option::as_ref);
        let capture = texture.map(|texture| Capture {
            picture: texture.picture.clone(),
            trouble: texture.trouble,
            lost: texture.lost,
            device: texture.pending.configuration.device_id,
        });
        let (life, sequence) = (of.map(|of| of.life), of.map_or(0, |of| of.sequence));
        self.reads.insert(asked, Read { context, life, sequence, capture });
        let answer = self.answer.clone();
        let pending = texture.map(|texture| texture.pending);
        self.presenter.get_image(context, pending, move |image| {
            // Nobody waits any more once something took too long.
            let _ = answer.send((asked, image));
        });
        asked
    }

    /// Takes answers for so long, and looks at them.
    pub(super) fn collect(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while let Ok((asked, answer)) =
            self.answers.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            let Some(read) = self.reads.remove(&asked) else {
                self.ledger.fault(format!("{asked} was answered twice"));
                continue;
            };
            let seen = match answer {
                Err(error) => Seen::Nothing(error),
                Ok(image) => {
                    let sight = self.see(&image);
                    let (size, alpha_mode) = (image.size(), image.alpha_mode());
                    if asked.is_multiple_of(5) {
                        self.keep_snapshot(image, sight.clone());
                    }
                    Seen::Image { sight, size, alpha_mode }
                }
            };
            self.ledger.count(|tally| tally.reads += 1);
            self.answered.push((read, seen));
        }
    }

    pub(super) fn see(&self, image: &Snapshot) -> Sight {
        if self.ledger.blind {
            return Sight::Unknown;
        }
        see_rows(&self.ledger, || image.rows(), image.format().into()).unwrap_or_else(|fault| {
            self.ledger.fault(format!("{fault}: {image:?}"));
            Sight::Unknown
        })
    }

    /// A snapshot stays what it is.
    pub(super) fn keep_snapshot(&mut self, image: Snapshot, sight: Sight) {
        self.snapshots.push((image, sight));
        if self.snapshots.len() > MOST_KEPT {
            let (image, sight) = self.snapshots.remove(0);
            self.look_again(&image, &sight);
        }
    }

    pub(super) fn look_again(&self, image: &Snapshot, sight: &Sight) {
        if let Sight::Picture(picture) = sight
            && !picture.is(image.format().into(), image.rows())
        {
            self.ledger.fault(format!("a snapshot of {picture:?} has changed"));
        }
    }

    pub(super) fn judge_reads(&mut self, ended: &HashMap<(Life, u64), (Present, PresentEnd)>) {
        for (read, seen) in std::mem::take(&mut self.answered) {
            let fine = match (&read.capture, read.life) {
                (_, None) => matches!(seen, Seen::Nothing(GetImageError::UnknownContext(_))),
                (Some(capture), Some(life)) => {
                    let lost = self.ledger.may_lose(capture.device);
                    capture.explains(&seen, lost, self.ledger.is_gone(life))
                }
                (None, Some(life)) => self.is_newest(&read, life, &seen, ended),
            };
            if !fine {
                let known = |sequence: u64| {
                    let (present, end) = ended.get(&(read.life?, sequence))?;
                    Some((sequence, present.trouble, present.lost, end))
                };
                let ends: Vec<_> = (1..=read.sequence).filter_map(known).collect();
                self.ledger.fault(format!("{seen:?} came of {read:?}, after {ends:?}"));
            }
        }
    }

    /// Whether a read without a texture gave the newest good present before it.
    pub(super) fn is_newest(
        &self,
        read: &Read,
        life: Life,
        seen: &Seen,
        ended: &HashMap<(Life, u64), (Present, PresentEnd)>,
    ) -> bool {
        let gone = self.ledger.is_gone(life);
        if let Seen::Nothing(error) = seen
            && !matches!(error, GetImageError::TooLarge(_))
        {
            return gone && matches!(error, GetImageError::UnknownContext(_));
        }
        let mut waited_in_vain = false;
        for sequence in (1..=read.sequence).rev() {
            // What was judged before is as good as any.
            let Some((present, end)) = ended.get(&(life, sequence)) else { return true };
            if shows(present, end).is_some_and(|shown| seen.is(&shown)) {
                return true;
            }
            match end {
                // A newer one may have been shown first; whoever waited for this one got it.
                PresentEnd::Superseded if seen.is(&present.shows) => return true,
                PresentEnd::Superseded | PresentEnd::Failed(_) if shows(present, end).is_none() => {
                    waited_in_vain |= !present.lost && matches!(end, PresentEnd::Failed(_));
                }
                // What was presented by the time its device was lost is shown instead.
                _ if waited_in_vain => {
                    let later = ended.values().filter(|(present, _)| present.sequence > read.sequence);
                    let mut later = later.filter(|(of, _)| of.life == life);
                    return later.any(|(of, end)| {
                        seen.is(&of.shows) || shows(of, end).is_some_and(|shown| seen.is(&shown))
                    });
                }
                _ => return false,
            }
        }
        // Nothing good was presented before it.
        true
    }
}

impl Seen {
    /// Whether this is what a canvas shows.
    pub(super) fn is(&self, shown: &Shown) -> bool {
        match (self, shown) {
            (Self::Image { sight: Sight::Unknown, .. }, _) => true,
            (Self::Image { sight: Sight::Picture(seen), .. }, Shown::Picture(picture)) => seen == picture,
            (Self::Image { sight, size, alpha_mode }, Shown::Cleared { size: wanted, alpha_mode: mode }) => {
                let black = *mode == AlphaMode::Opaque && !wanted.is_empty();
                size == wanted
                    && alpha_mode == mode
                    && *sight == if black { Sight::Black } else { Sight::Blank }
            }
            (Self::Nothing(GetImageError::TooLarge(_)), Shown::Cleared { .. }) => true,
            _ => false,
        }
    }
}

impl Capture {
    pub(super) fn explains(&self, seen: &Seen, may_lose: bool, gone: bool) -> bool {
        let Self { picture, trouble, lost, .. } = self;
        match seen {
            Seen::Image { sight: Sight::Picture(seen), .. } => seen == picture && *trouble == Trouble::None,
            Seen::Image { sight, size, .. } => {
                *sight == Sight::Unknown || *trouble == Trouble::Empty && size.is_empty()
            }
            Seen::Nothing(GetImageError::UnknownContext(_)) => gone,
            Seen::Nothing(GetImageError::Texture(error)) => match error {
                PresentError::TooLarge(_) => *trouble == Trouble::Huge,
                PresentError::DeviceLost => *lost || may_lose,
                PresentError::TextureInvalid => *lost || *trouble == Trouble::Invalid,
                PresentError::TextureDestroyed => *lost || *trouble == Trouble::Destroyed,
                PresentError::WrongDevice => *lost || *trouble == Trouble::WrongDevice,
                PresentError::Refused(_) => *lost || matches!(trouble, Trouble::WrongSize | Trouble::NoCopy),
                _ => *lost,
            },
            Seen::Nothing(_) => false,
        }
    }
}
