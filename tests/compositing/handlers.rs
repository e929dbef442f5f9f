//! What happens while WebRender locks images: handlers that present and destroy in the middle of a render.

use webrender_api::{ExternalImage, ExternalImageId};

use super::stage::*;

/// Calls `before_lock` with each image, and its generation, that WebRender is about to lock.
struct Meddling<F: FnMut(&mut ExternalImages, ExternalImageId, u8)> {
    images: ExternalImages,
    before_lock: F,
}

impl<F: FnMut(&mut ExternalImages, ExternalImageId, u8)> ExternalImageHandler for Meddling<F> {
    fn lock(&mut self, id: ExternalImageId, channel: u8, composited: bool) -> ExternalImage<'_> {
        (self.before_lock)(&mut self.images, id, channel);
        ExternalImageHandler::lock(&mut self.images, id, channel, composited)
    }

    fn unlock(&mut self, id: ExternalImageId, channel: u8) {
        ExternalImageHandler::unlock(&mut self.images, id, channel);
    }
}

// WebRender may still be reading a frame of a context that another thread destroys.
#[test]
fn a_context_destroyed_while_it_is_locked_is_drawn() {
    let armed = Rc::new(RefCell::new(false));
    let arm = armed.clone();
    let stage = Stage::with_handler(Swgl, (64, 64), move |images, presenter| {
        let before_lock = move |images: &mut ExternalImages, id: ExternalImageId, channel| {
            if armed.replace(false) {
                // Locked first, so that what WebRender reads belongs to a context that is gone.
                images.lock(id, Some(channel));
                if let Some(presenter) = &*presenter.borrow() {
                    presenter.borrow_mut().destroy_context(ContextId(id.0)).unwrap();
                }
            }
        };
        Box::new(Meddling { images, before_lock })
    });
    let Some(mut stage) = stage else { return };
    stage.place(64, 64);
    stage.present_solid(RED, (64, 64));
    stage.page.build();
    arm.replace(true);
    stage.page.draw();
    assert!(!*arm.borrow(), "it was locked");
    assert_eq!(stage.page.region(region(0, 0, 64, 64)), RED.repeat(64 * 64));
    // The image is deleted. The id may be used again, though a frame of its first life is still locked.
    stage.page.set_scene(&[]);
    stage.assert_corner((64, 64), BLACK);
    stage.create_in_corner(CONTEXT, (64, 64));
    stage.present_solid(GREEN, (64, 64));
    stage.assert_corner((64, 64), GREEN);
    // SAFETY: only the presenter names its staging buffers.
    *stage.presenter.borrow_mut() = unsafe {
        Presenter::new(
            stage.gpu.global.clone(),
            &ContextMap::default(),
            WebRenderSink::new(stage.page.new_api(), stage.page.document()),
            PresenterOptions::default(),
        )
    };
    stage.page.set_scene(&[]);
    stage.page.render();
    assert_no_validation_errors();
}

// WebRender locks a large canvas once for each tile. All tiles of one update must show one frame, whatever arrives between
// their locks.
#[test]
fn tiles_of_a_large_canvas_never_mix() {
    const PRESENTS_PER_RENDER: usize = 50;
    let size = (4800, 600);
    let presents = Rc::new(RefCell::new(0usize));
    // Presents between every two locks. Filled in once the stage stands.
    type Next = Rc<RefCell<Option<Box<dyn FnMut()>>>>;
    let next = Next::default();
    let call = next.clone();
    let stage = Stage::with_handler(Swgl, size, move |images, _| {
        let before_lock = move |_: &mut ExternalImages, _, _| {
            if let Some(next) = &mut *call.borrow_mut() {
                next();
            }
        };
        Box::new(Meddling { images, before_lock })
    });
    let Some(mut stage) = stage else { return };
    let image = rect(0.0, 0.0, size.0 as f32, size.1 as f32);
    stage.page.set_scene(&[Item::PlainImage(image, stage.key)]);
    let stage_presenter = stage.presenter.clone();
    let textures: Vec<_> = (1..=24u8).map(|i| stage.solid([i, 255 - i, i / 2, 255], size)).collect();
    {
        let (presents, textures) = (presents.clone(), textures.clone());
        *next.borrow_mut() = Some(Box::new(move || {
            let count = presents.replace_with(|count| *count + 1);
            // Each present asks for a frame, and each frame locks: without an end the render would have none.
            if count % PRESENTS_PER_RENDER == PRESENTS_PER_RENDER - 1 {
                presents.replace(count);
                return;
            }
            let contents = Contents::Texture(textures[count % textures.len()]);
            let mut presenter = stage_presenter.borrow_mut();
            presenter.present(CONTEXT, contents, CanvasEpoch(9)).unwrap();
            let (sender, receiver) = std::sync::mpsc::channel();
            presenter.get_image(CONTEXT, None, move |_| sender.send(()).expect("it is awaited"));
            receiver.recv_timeout(TIMEOUT).unwrap();
        }));
    }
    let contents = Contents::Texture(textures[0]);
    stage.presenter.borrow_mut().present(CONTEXT, contents, CanvasEpoch(1)).unwrap();
    stage.end();
    for round in 0..6 {
        *presents.borrow_mut() = round * PRESENTS_PER_RENDER;
        stage.page.render();
        let shown = stage.page.region(region(0, 0, size.0 as i32, size.1 as i32));
        let first = shown[..4].to_vec();
        assert_ne!(first, BLACK);
        assert!(shown.chunks_exact(4).all(|pixel| pixel == first), "tiles of several frames");
    }
    let presents = *presents.borrow();
    assert!(presents > 6, "several tiles were locked, and presented between: {presents}");
    *next.borrow_mut() = None;
    textures.iter().for_each(|texture| stage.gpu.drop_texture(texture.texture_id));
    stage.finish();
}
