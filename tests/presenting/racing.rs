//! Thousands of presents beside a renderer on a thread of its own. Each frame has its number in all of its pixels, so a torn frame
//! and a stale one can be told.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::direct::canvas_texture;
use crate::world::*;

const SIZE: (u32, u32) = (48, 32);

/// The newest image update, and the number of the present that it has acknowledged.
#[derive(Clone, Default)]
struct Newest(Arc<Mutex<Option<(ImageDescriptor, u8, u64)>>>);

impl ImageSink for Newest {
    fn add_image(&mut self, _: ImageKey, descriptor: ImageDescriptor, data: ExternalImageData) {
        *self.0.lock().unwrap() = Some((descriptor, data.channel_index, 0));
    }

    fn update_image(
        &mut self,
        _: ImageKey,
        descriptor: ImageDescriptor,
        data: ExternalImageData,
        epoch: CanvasEpoch,
    ) {
        *self.0.lock().unwrap() = Some((descriptor, data.channel_index, epoch.0));
    }

    fn delete_image(&mut self, _: ImageKey) {}
}

/// Locks what was told last, over and over, and returns how many frames it has seen.
fn render(map: &ContextMap, newest: &Newest, ends: &AtomicBool) -> u64 {
    let mut images = ExternalImages::new(map);
    let (mut seen, mut before) = (0, 0);
    while !ends.load(Ordering::Acquire) {
        let Some((descriptor, generation, told)) = *newest.0.lock().unwrap() else { continue };
        let pixel = uniform(images.lock(CONTEXT.into(), Some(generation)), &descriptor);
        let number = u64::from(u32::from_le_bytes(pixel));
        assert!(number >= told, "frame {number} is shown after {told} was told of");
        seen += u64::from(number != before);
        before = number;
        images.unlock(CONTEXT.into(), Some(generation));
    }
    seen
}

#[rstest]
fn no_frame_is_torn_or_stale(#[values(false, true)] is_direct: bool) {
    // Validation slows each present down, and the other tests have it.
    let count: u32 = if cfg!(debug_assertions) { 10_000 } else { 100_000 };
    let Some(gpu) = Gpu::new(wgpu_types::InstanceFlags::empty()) else { return };
    let device = gpu.device();
    let (map, newest) = (ContextMap::default(), Newest::default());
    // SAFETY: only the presenter names its staging buffers.
    let mut presenter =
        unsafe { Presenter::new(gpu.global.clone(), &map, newest.clone(), PresenterOptions::default()) };
    presenter.create_context(CONTEXT, descriptor()).unwrap();
    presenter.set_image_key(CONTEXT, ImageKey::new(IdNamespace(1), 1)).unwrap();
    let size = size(SIZE.0, SIZE.1);
    let configuration = device.configuration(size);
    let ends = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let renderer = scope.spawn(|| render(&map, &newest, &ends));
        for number in 1..=count {
            let bytes = number.to_le_bytes().repeat(size.area() as usize);
            let texture = if is_direct {
                let texture = canvas_texture(&mut presenter, configuration);
                gpu.write(device, texture.texture_id, size, &bytes);
                texture
            } else {
                gpu.canvas(device, configuration, &bytes)
            };
            let mut batch = presenter.batch();
            batch.present(CONTEXT, Contents::Texture(texture), CanvasEpoch(number.into())).unwrap();
            batch.destroy_texture(texture.texture_id);
            batch.drop_texture(texture.texture_id);
            batch.submit();
            if renderer.is_finished() {
                break;
            }
        }
        let told = || newest.0.lock().unwrap().is_some_and(|(_, _, told)| told == count.into());
        let deadline = Instant::now() + TIMEOUT;
        while !told() && Instant::now() < deadline && !renderer.is_finished() {
            presenter.maintain();
        }
        ends.store(true, Ordering::Release);
        renderer.join().expect("no frame is torn or stale")
    });
    let Statistics { direct, copied, .. } = presenter.statistics(CONTEXT).unwrap();
    eprintln!("{direct} direct frames, {copied} copied ones, {seen} seen");
    // At least 85 percent are direct, even if all threads share one core. The others are copied because all images are in use.
    assert!(if is_direct { direct > 2 * copied } else { direct == 0 && copied > 0 }, "{direct}, {copied}");
    // The renderer sees a third of the frames or more. If it shares one core with the other threads, it sees one in each of its turns.
    assert!(seen > 10 && seen * 20 > direct + copied, "{seen} of {}", direct + copied);
}
