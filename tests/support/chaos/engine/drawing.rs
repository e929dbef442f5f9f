//! What script does with textures.

use super::*;

/// A texture that script drew, and what is to be seen of it.
pub(super) struct Texture {
    pub(super) pending: PendingTexture,
    pub(super) picture: Arc<Picture>,
    pub(super) trouble: Trouble,
    pub(super) lost: bool,
    pub(super) keep: bool,
}

impl Engine {
    /// What script does.
    pub(super) fn draw(&mut self, slot: u32, image: &Image, sequence: Option<u64>) -> Texture {
        if self.devices.is_empty() {
            self.create_device();
        }
        let index = image.device as usize % self.devices.len();
        let Held { device, destroyed: lost } = self.devices[index];
        let Image { format, alpha_mode, keep, .. } = *image;
        let other = self.devices.iter().find(|other| !other.destroyed && other.device.id != device.id);
        let other = other.map(|other| other.device);
        let trouble = match image.trouble {
            Trouble::WrongDevice if other.is_none() => Trouble::None,
            trouble => trouble,
        };
        let size = Size2D::from(image.size);
        let configured = match trouble {
            Trouble::WrongSize => Size2D::new(size.width + 3, size.height),
            Trouble::Huge => Size2D::new(u32::MAX / 2, size.height),
            Trouble::Empty => Size2D::new(size.width, 0),
            _ => size,
        };
        let context = ContextId(slot.into());
        let life = self.slots[slot as usize].as_ref().map_or(Life(0), |slot| slot.life);
        let picture =
            self.ledger.new_picture(|number| Picture { number, size, alpha_mode, context, life, sequence });
        let of = if trouble == Trouble::WrongDevice { other.unwrap_or(device) } else { device };
        let texture_id = if trouble == Trouble::Invalid {
            self.gpu.invalid_texture(device)
        } else {
            let mut usage = TextureUsages::COPY_DST | TextureUsages::RENDER_ATTACHMENT;
            usage.set(TextureUsages::COPY_SRC, trouble != Trouble::NoCopy);
            self.texture(of, format, size, usage)
        };
        // wgpu-core can deadlock if a device is written to while it is being destroyed.
        if !lost && !self.ledger.blind && trouble != Trouble::Invalid {
            self.gpu.write(of, texture_id, size, &picture.texels(format));
        }
        if trouble == Trouble::Destroyed {
            self.gpu.global.texture_destroy(texture_id);
        }
        let configuration = ContextConfiguration {
            device_id: device.id,
            queue_id: device.queue,
            format,
            color_space: PredefinedColorSpace::Srgb,
            alpha_mode,
            size: configured,
        };
        let encoder_ids = self.ids.encoder(&self.ledger);
        let pending = PendingTexture { texture_id, encoder_ids, configuration };
        Texture { pending, picture, trouble, lost, keep }
    }

    /// A texture, or an error texture if the device is destroyed.
    pub(super) fn texture(
        &self,
        device: Device,
        format: TextureFormat,
        size: Size2D<u32>,
        usage: TextureUsages,
    ) -> TextureId {
        let descriptor = TextureDescriptor {
            label: None,
            size: extent(size),
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgt::TextureDimension::D2,
            format,
            usage,
            view_formats: vec![],
        };
        self.gpu.global.device_create_texture(device.id, &descriptor, None).0
    }

    /// Script is done with a texture: destroys it, or keeps it for a while.
    pub(super) fn discard(&mut self, texture: Texture) {
        if texture.keep {
            self.kept.push(texture);
            if self.kept.len() > MOST_KEPT {
                let oldest = self.kept.remove(0);
                self.gpu.drop_texture(oldest.pending.texture_id);
            }
        } else {
            self.gpu.drop_texture(texture.pending.texture_id);
        }
    }
}

/// A present with what it is to show.
pub(super) fn fill(present: Present, texture: Option<&Texture>, contents: &Contents) -> Present {
    let device = texture.map(|texture| texture.pending.configuration.device_id);
    let present = Present { device, ..present };
    let (trouble, lost) = texture.map_or((Trouble::None, false), |texture| (texture.trouble, texture.lost));
    match (texture, contents) {
        (Some(texture), Contents::Texture(pending)) if trouble != Trouble::Empty => {
            let size = pending.configuration.size;
            // Cleared in its place, if the texture is none, it has the configured size.
            let shows = match trouble {
                Trouble::None | Trouble::Invalid | Trouble::Destroyed => {
                    Shown::Picture(texture.picture.clone())
                }
                _ => Shown::Picture(Arc::new(Picture { size, ..(*texture.picture).clone() })),
            };
            Present { shows, trouble, lost, ..present }
        }
        (_, Contents::Texture(PendingTexture { configuration, .. })) => {
            let ContextConfiguration { size, alpha_mode, .. } = *configuration;
            Present { shows: Shown::Cleared { size, alpha_mode }, trouble: Trouble::None, lost, ..present }
        }
        (_, Contents::Cleared { size, alpha_mode }) => {
            let trouble = if size.width > 1 << 20 { Trouble::Huge } else { Trouble::None };
            let shows = Shown::Cleared { size: *size, alpha_mode: *alpha_mode };
            Present { shows, trouble, lost, ..present }
        }
    }
}
