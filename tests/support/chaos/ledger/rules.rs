//! The rules for presents.

use super::*;

impl State {
    /// Every present ends exactly once. Ids of contexts come back: their ends then come in the order of their lives.
    pub(super) fn match_outcomes(&mut self) -> HashMap<(Life, u64), (Present, PresentEnd)> {
        let mut told: HashMap<(ContextId, u64), Vec<PresentOutcome>> = HashMap::new();
        for outcome in &self.outcomes {
            told.entry((outcome.context, outcome.sequence)).or_default().push(outcome.clone());
        }
        let mut faults = Vec::new();
        let mut ended = HashMap::new();
        for present in &self.presents {
            let told = told.get_mut(&(present.context, present.sequence)).filter(|told| !told.is_empty());
            let Some(outcome) = told.map(|told| told.remove(0)) else {
                faults.push(format!("never ended: {present:?}"));
                continue;
            };
            if outcome.epoch.0 != present.epoch {
                faults.push(format!("{outcome:?} is told of {present:?}"));
            }
            match outcome.end {
                PresentEnd::Presented => self.tally.presented += 1,
                PresentEnd::Superseded => self.tally.superseded += 1,
                PresentEnd::Failed(_) => self.tally.failed += 1,
            }
            ended.insert((present.life, present.sequence), (present.clone(), outcome.end));
        }
        faults.extend(told.values().flatten().map(|outcome| format!("ended twice: {outcome:?}")));
        faults.into_iter().for_each(|fault| self.fault(fault));
        ended
    }

    /// Each end has its reason, and the newest good frame is what a canvas shows.
    pub(super) fn judge_ends(
        &mut self,
        ended: &HashMap<(Life, u64), (Present, PresentEnd)>,
        memory: FrameMemoryKind,
    ) {
        let mut faults = Vec::new();
        let mut superseded: HashMap<Life, u64> = HashMap::new();
        let mut excused = HashSet::new();
        for (present, end) in ended.values() {
            let gone = self.lives.get(&present.life).is_none_or(|canvas| canvas.gone);
            let lost = memory == FrameMemoryKind::Portable
                && present.device.is_some_and(|device| self.lost.contains(&device));
            if !is_allowed(present, end, gone, lost) {
                faults.push(format!("ended with {end:?}, which nothing excuses: {present:?}"));
            }
            if lost && matches!(end, PresentEnd::Failed(PresentError::DeviceLost)) {
                // It may have taken another one's place.
                excused.insert(present.life);
            }
            if matches!(end, PresentEnd::Superseded) {
                let last = superseded.entry(present.life).or_default();
                *last = present.sequence.max(*last);
            }
            let Some(shown) = shows(present, end) else { continue };
            if let Some(canvas) = self.lives.get_mut(&present.life)
                && present.sequence > canvas.newest.0
            {
                canvas.newest = (present.sequence, shown);
            }
        }
        for (life, sequence) in superseded {
            let newest = self.lives.get(&life).filter(|canvas| !canvas.gone).map(|canvas| canvas.newest.0);
            if newest.is_some_and(|newest| newest < sequence) && !excused.contains(&life) {
                faults.push(format!("{life:?}: {sequence} was superseded by nothing that is shown"));
            }
        }
        faults.into_iter().for_each(|fault| self.fault(fault));
    }

    /// Each present is acknowledged by an update after it.
    pub(super) fn judge_epochs(&mut self, ended: &HashMap<(Life, u64), (Present, PresentEnd)>) {
        let mut faults = Vec::new();
        // The largest epoch of a life from each of its offers on.
        let mut largest: HashMap<Life, Vec<(usize, u64)>> = HashMap::new();
        for (index, offer) in self.offers.iter().enumerate().rev() {
            if let Some(epoch) = offer.epoch {
                let of_life = largest.entry(offer.life).or_default();
                let later = of_life.last().map_or(0, |(_, epoch)| *epoch);
                of_life.push((index, epoch.max(later)));
            }
        }
        for (present, _) in ended.values().filter(|(present, _)| present.displayed) {
            let of_life = largest.get(&present.life).map_or(&[][..], Vec::as_slice);
            // Indices fall.
            let after = of_life.partition_point(|(index, _)| *index >= present.calls);
            let acknowledged = after.checked_sub(1).map(|last| of_life[last].1);
            if acknowledged.is_none_or(|epoch| epoch < present.epoch) {
                faults.push(format!("acknowledged {acknowledged:?} only: {present:?}"));
            }
        }
        faults.into_iter().for_each(|fault| self.fault(fault));
    }

    /// A canvas has one image at most, and none once it is gone.
    pub(super) fn judge_keys(&mut self) {
        let mut images: HashMap<Life, usize> = HashMap::new();
        for key in self.keys.values().filter(|key| key.state == KeyState::Added) {
            *images.entry(key.life).or_default() += 1;
        }
        for (life, count) in images {
            let gone = self.lives.get(&life).is_none_or(|canvas| canvas.gone);
            if gone || count > 1 {
                self.fault(format!("{life:?} (gone: {gone}) has {count} images"));
            }
        }
    }
}

/// What a present makes a canvas show. `None` leaves it as it is.
pub fn shows(present: &Present, end: &PresentEnd) -> Option<Shown> {
    match end {
        PresentEnd::Presented => Some(present.shows.clone()),
        PresentEnd::Failed(
            PresentError::TextureInvalid | PresentError::TextureDestroyed | PresentError::TooLarge(_),
        ) => {
            let (size, alpha_mode) = match &present.shows {
                Shown::Cleared { size, alpha_mode } => (*size, *alpha_mode),
                Shown::Picture(picture) => (picture.size, picture.alpha_mode),
            };
            Some(Shown::Cleared { size, alpha_mode })
        }
        PresentEnd::Superseded | PresentEnd::Failed(_) => None,
    }
}

pub(super) fn is_allowed(present: &Present, end: &PresentEnd, gone: bool, may_lose: bool) -> bool {
    let Present { trouble, lost, .. } = *present;
    let cleared = matches!(present.shows, Shown::Cleared { .. });
    match end {
        PresentEnd::Presented | PresentEnd::Superseded => !lost && trouble == Trouble::None || cleared,
        PresentEnd::Failed(error) => match error {
            PresentError::TooLarge(_) => trouble == Trouble::Huge,
            _ if cleared => false,
            PresentError::ContextDestroyed => gone,
            // So many are awaited.
            PresentError::DeviceLost => lost || may_lose,
            _ if lost => true,
            PresentError::TextureInvalid => trouble == Trouble::Invalid,
            PresentError::TextureDestroyed => trouble == Trouble::Destroyed,
            PresentError::WrongDevice => trouble == Trouble::WrongDevice,
            PresentError::Refused(_) => matches!(trouble, Trouble::WrongSize | Trouble::NoCopy),
            _ => false,
        },
    }
}
