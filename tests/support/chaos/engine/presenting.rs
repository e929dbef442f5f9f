//! Presents: in batches, at once, and again.

use super::*;

impl Engine {
    /// Presents, each followed by the destruction of its texture, in one batch.
    pub(super) fn present(&mut self, messages: Vec<Message>) {
        let mut drawn = Vec::new();
        for message in messages {
            match message {
                Message::Present { slot, image, epoch } => {
                    let present = self.begin(slot, epoch);
                    let sequence = present.as_ref().map(|present| present.sequence);
                    let texture = self.draw(slot, &image, sequence);
                    drawn.push((slot, epoch, present, Some(texture), None));
                }
                Message::Clear { slot, size, alpha_mode, epoch } => {
                    let present = self.begin(slot, epoch);
                    drawn.push((slot, epoch, present, None, Some((Size2D::from(size), alpha_mode))));
                }
                _ => {}
            }
        }
        let mut faults = Vec::new();
        let mut discarded = Vec::new();
        let mut batch = self.presenter.batch();
        for (slot, epoch, present, texture, cleared) in drawn {
            let contents = match (&texture, cleared) {
                (Some(texture), _) => Contents::Texture(texture.pending),
                (None, cleared) => {
                    let (size, alpha_mode) = cleared.unwrap_or((Size2D::zero(), AlphaMode::Opaque));
                    Contents::Cleared { size, alpha_mode }
                }
            };
            let sequence = present.as_ref().map(|present| present.sequence);
            if let Some(present) = present {
                self.ledger.begin(fill(present, texture.as_ref(), &contents));
            }
            let result = batch.present(ContextId(slot.into()), contents, CanvasEpoch(epoch));
            faults.extend(fault_of(slot, sequence, &result));
            if let Some(texture) = texture {
                if texture.keep {
                    discarded.push(texture);
                } else {
                    batch.destroy_texture(texture.pending.texture_id);
                    batch.drop_texture(texture.pending.texture_id);
                }
            }
        }
        batch.submit();
        discarded.into_iter().for_each(|texture| self.discard(texture));
        faults.into_iter().for_each(|fault: String| self.ledger.fault(fault));
    }

    /// Presents one after the other, drawn before, so that nothing comes between.
    pub(super) fn burst(&mut self, slot: u32, image: &Image, count: u32, reads: u32) {
        let next = self.slots[slot as usize].as_ref().map(|slot| slot.sequence + 1);
        let drawn: Vec<_> = (0..u64::from(count))
            .map(|index| self.draw(slot, image, next.map(|next| next + index)))
            .collect();
        for (index, texture) in drawn.into_iter().enumerate() {
            let present = self.begin(slot, index as u64);
            let sequence = present.as_ref().map(|present| present.sequence);
            let contents = Contents::Texture(texture.pending);
            if let Some(present) = present {
                self.ledger.begin(fill(present, Some(&texture), &contents));
            }
            let result = self.presenter.present(ContextId(slot.into()), contents, CanvasEpoch(index as u64));
            if let Some(fault) = fault_of(slot, sequence, &result) {
                self.ledger.fault(fault);
            }
            if reads >> index & 1 != 0 {
                self.ask(slot, None);
            }
            self.discard(texture);
        }
    }

    /// Draws the next picture into a texture that script kept, and presents that alone.
    pub(super) fn present_again(&mut self, slot: u32, kept: usize, epoch: u64) {
        let fit = |texture: &Texture| texture.trouble == Trouble::None && !texture.lost;
        let Some(index) = self.kept.iter().position(fit).map(|first| (first + kept) % self.kept.len()) else {
            return;
        };
        if !fit(&self.kept[index]) {
            return;
        }
        let present = self.begin(slot, epoch);
        let sequence = present.as_ref().map(|present| present.sequence);
        let context = ContextId(slot.into());
        let life = self.slots[slot as usize].as_ref().map_or(Life(0), |slot| slot.life);
        let before = self.kept[index].picture.clone();
        let picture = self.ledger.new_picture(|number| Picture {
            number,
            context,
            life,
            sequence,
            ..(*before).clone()
        });
        let ids = self.ids.encoder(&self.ledger);
        let texture = &mut self.kept[index];
        texture.picture = picture;
        texture.pending.encoder_ids = ids;
        let ContextConfiguration { device_id, queue_id, format, size, .. } = texture.pending.configuration;
        let device = Device { id: device_id, queue: queue_id };
        self.gpu.write(device, texture.pending.texture_id, size, &texture.picture.texels(format));
        let contents = Contents::Texture(texture.pending);
        if let Some(present) = present {
            self.ledger.begin(fill(present, Some(texture), &contents));
        }
        let result = self.presenter.present(context, contents, CanvasEpoch(epoch));
        if let Some(fault) = fault_of(slot, sequence, &result) {
            self.ledger.fault(fault);
        }
    }

    /// The next present of a context, if there is one. What it shows is not known yet.
    pub(super) fn begin(&mut self, slot: u32, epoch: u64) -> Option<Present> {
        let context = ContextId(slot.into());
        let slot = self.slots[slot as usize].as_mut()?;
        slot.sequence += 1;
        Some(Present {
            context,
            life: slot.life,
            sequence: slot.sequence,
            epoch,
            shows: Shown::Cleared { size: Size2D::zero(), alpha_mode: AlphaMode::Opaque },
            trouble: Trouble::None,
            lost: false,
            device: None,
            displayed: slot.key.is_some(),
            calls: 0,
        })
    }
}

/// What `present` returned is the sequence number, or that there is no such context.
fn fault_of(slot: u32, expected: Option<u64>, result: &Result<u64, UnknownContext>) -> Option<String> {
    let fine = expected == result.as_ref().ok().copied();
    (!fine).then(|| format!("presenting to {slot} came to {result:?}, not {expected:?}"))
}
