//! Attachments that a render pass discards, for engines whose pages draw in [canvas textures](crate::Presenter::create_canvas_texture).
//!
//! `StoreOp::Discard` makes the contents of an attachment zeros. wgpu-core clears them when they are read next; but it
//! panics instead if it did not allocate the texture. An engine that begins its render passes with
//! [`DiscardedAttachments`] has the zeros written at once, so that wgpu-core has nothing to do later.
//!
//! Called on the WebGPU thread, while the engine records a page's commands.

use smallvec::SmallVec;
use wgpu_core::command::{LoadOp, RenderPassColorAttachment, RenderPassDescriptor, StoreOp};
use wgpu_core::global::Global;
use wgpu_core::id::{CommandEncoderId, TextureViewId};
use wgpu_types::Color;

use crate::sync::catch_panic;

/// The attachments that a render pass discards: they are stored instead, and cleared after the pass.
///
/// ```no_run
/// use webgpu_presentation::DiscardedAttachments;
/// use wgpu_core::command::RenderPassDescriptor;
/// use wgpu_core::global::Global;
/// use wgpu_core::id::CommandEncoderId;
///
/// fn pass(global: &Global, encoder: CommandEncoderId, mut descriptor: RenderPassDescriptor<'_>) {
///     let discarded = DiscardedAttachments::keep(&mut descriptor);
///     let (mut pass, error) = global.command_encoder_begin_render_pass(encoder, &descriptor);
///     // … the commands of the page …
///     let _ = global.render_pass_end(&mut pass);
///     discarded.clear(global, encoder);
/// #   drop(error);
/// }
/// ```
#[derive(Debug)]
#[must_use = "what is not cleared after the pass shows what a page has discarded"]
pub struct DiscardedAttachments(SmallVec<[RenderPassColorAttachment; 1]>);

impl DiscardedAttachments {
    /// Replaces `StoreOp::Discard` in the color attachments of a render pass, before it is begun.
    ///
    /// Attachments with a resolve target stay as they are: they are multisampled, which no canvas texture is.
    ///
    /// An engine whose pages may make textures with `TextureUsages::TRANSIENT_ATTACHMENT` calls [`keep_where`](Self::keep_where),
    /// because wgpu-core refuses passes that store those.
    pub fn keep(descriptor: &mut RenderPassDescriptor<'_>) -> Self {
        Self::keep_where(descriptor, |_| true)
    }

    /// Replaces `StoreOp::Discard` as [`keep`](Self::keep) does, but only in attachments whose view `may_be_canvas`.
    ///
    /// Precondition: that is true of every view of a canvas texture, and of no view of a transient texture.
    pub fn keep_where(
        descriptor: &mut RenderPassDescriptor<'_>,
        may_be_canvas: impl Fn(TextureViewId) -> bool,
    ) -> Self {
        let is_discarded = |attachment: &RenderPassColorAttachment| {
            attachment.store_op == StoreOp::Discard
                && attachment.resolve_target.is_none()
                && may_be_canvas(attachment.view)
        };
        if !descriptor.color_attachments.iter().flatten().any(is_discarded) {
            return Self(SmallVec::new());
        }
        let attachments = descriptor.color_attachments.to_mut().iter_mut().flatten();
        let kept = attachments.filter(|attachment| is_discarded(attachment)).map(|attachment| {
            attachment.store_op = StoreOp::Store;
            RenderPassColorAttachment { load_op: LoadOp::Clear(Color::TRANSPARENT), ..attachment.clone() }
        });
        Self(kept.collect())
    }

    /// Clears the attachments. Called after the pass has ended and before anything else is recorded in its encoder.
    ///
    /// Does nothing if nothing was discarded. If the pass was not valid, neither is its encoder, and this changes nothing.
    ///
    /// Precondition: the views of the attachments are not dropped. A page can drop a view while its pass is open, so an engine holds
    /// that drop back until the pass was cleared. (wgpu-core panics otherwise. The panic goes no further, and the attachments keep what
    /// was drawn.)
    pub fn clear(self, global: &Global, encoder: CommandEncoderId) {
        if self.0.is_empty() {
            return;
        }
        let attachments: Vec<_> = self.0.into_iter().map(Some).collect();
        let descriptor =
            RenderPassDescriptor { color_attachments: attachments.into(), ..RenderPassDescriptor::default() };
        catch_panic("wgpu-core", || {
            let (mut pass, _) = global.command_encoder_begin_render_pass(encoder, &descriptor);
            // An error is that of the encoder, which is told when it is finished.
            let _ = global.render_pass_end(&mut pass);
        });
    }
}
