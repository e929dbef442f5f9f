//! What was drawn is what is shown and read.

use euclid::default::Box2D;

use super::world::*;

#[rstest]
fn every_size_is_exact(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    for (epoch, (width, height)) in (1..).zip([
        (1, 1),
        (3, 5),
        (300, 150),
        (301, 151),
        (1919, 1079),
        (8193, 1),
        (16384, 1),
        (1, 16384),
        (64, 64),
        (65, 1),
    ]) {
        let size = size(width, height);
        let bytes: Vec<u8> = (0..width * height * 4).map(|i| (i * 7 + i / 1021) as u8).collect();
        let texture = world.canvas(world.configuration(size), &bytes);
        assert_eq!(world.gpu.read(world.device, texture.texture_id, size), bytes, "the oracle agrees");
        world.present_and_wait(texture, epoch);
        let image = world.get_image(None).unwrap();
        assert_eq!((image.size(), image.format()), (size, PixelFormat::Bgra8));
        assert!(image.to_vec().unwrap() == bytes, "{width}×{height}");
        let (descriptor, generation) = world.offer();
        assert_eq!((descriptor.size.width, descriptor.size.height), (width as i32, height as i32));
        let ExternalImageSource::RawData(shown) = world.images.lock(CONTEXT.into(), Some(generation)) else {
            panic!("it is shown")
        };
        let rows = shown.chunks(descriptor.compute_stride() as usize).take(height as usize);
        let shown: Vec<u8> = rows.flat_map(|row| &row[..width as usize * 4]).copied().collect();
        world.images.unlock(CONTEXT.into(), Some(generation));
        assert!(shown == bytes, "{width}×{height} on screen");
    }
    world.finish();
}

// The texels of WebGPU's conformance suite for canvases, and the pixels that it expects of `ImageData`.
#[rstest]
fn formats_and_alpha_modes_are_exact(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    // Blue, green, red and yellow of 0.4 over alpha 0.4, as RGBA.
    let rgba = [[0, 0, 102, 102], [0, 102, 0, 102], [102, 0, 0, 102], [102, 102, 0, 102]];
    let swap = |[r, g, b, a]: [u8; 4]| [b, g, r, a];
    let expected = |mode| match mode {
        AlphaMode::Opaque => [[0, 0, 102, 255], [0, 102, 0, 255], [102, 0, 0, 255], [102, 102, 0, 255]],
        AlphaMode::Premultiplied => {
            [[0, 0, 255, 102], [0, 255, 0, 102], [255, 0, 0, 102], [255, 255, 0, 102]]
        }
    };
    let mut epoch = 0;
    for format in [TextureFormat::Bgra8Unorm, TextureFormat::Rgba8Unorm] {
        for alpha_mode in [AlphaMode::Opaque, AlphaMode::Premultiplied] {
            let bytes = if format == TextureFormat::Bgra8Unorm { rgba.map(swap) } else { rgba }.concat();
            let configuration = world.configuration(size(2, 2));
            let configuration = ContextConfiguration { format, alpha_mode, ..configuration };
            let texture = world.canvas(configuration, &bytes);
            let captured = world.get_image(Some(texture)).unwrap();
            assert_eq!((captured.format().into(), captured.alpha_mode()), (format, alpha_mode));
            epoch += 1;
            world.present_and_wait(texture, epoch);
            for image in [captured, world.get_image(None).unwrap()] {
                let pixels = image.to_straight_rgba().unwrap();
                assert_eq!(pixels, expected(alpha_mode).concat(), "{format:?} {alpha_mode:?}");
            }
        }
    }
    world.finish();
}

// A part of a canvas is that part of the whole, in every format and alpha mode, whether the GPU copied it or it is a part of the frame.
#[rstest]
fn parts_of_canvases_are_exact(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    let whole = size(301, 20);
    let regions = [
        ((0, 0), (301, 20)),
        ((300, 19), (301, 20)),
        ((64, 3), (193, 17)),
        ((1, 0), (2, 20)),
        ((5, 5), (5, 9)),
    ];
    let mut epoch = 0;
    for format in [TextureFormat::Bgra8Unorm, TextureFormat::Rgba8Unorm, TextureFormat::Rgba16Float] {
        let pixel = if format == TextureFormat::Rgba16Float { 8 } else { 4 };
        for alpha_mode in [AlphaMode::Opaque, AlphaMode::Premultiplied] {
            // As half floats these are small numbers and no infinities.
            let bytes: Vec<u8> =
                (0..whole.area() as usize * pixel).map(|i| (i * 7 + i / 1021) as u8 & 0x3f).collect();
            let configuration = ContextConfiguration { format, alpha_mode, ..world.configuration(whole) };
            let texture = world.canvas(configuration, &bytes);
            let captured = world.get_image(Some(texture)).unwrap();
            epoch += 1;
            world.present_kept(texture, epoch).unwrap();
            assert!(matches!(world.end(), PresentEnd::Presented));
            for (min, max) in regions {
                let region = Box2D::new(min.into(), max.into());
                for (texture, all) in
                    [(Some(texture), captured.clone()), (None, world.get_image(None).unwrap())]
                {
                    let (sender, receiver) = channel();
                    world
                        .presenter
                        .get_image_region(CONTEXT, texture, region, move |answer| drop(sender.send(answer)));
                    let part = receiver.recv_timeout(TIMEOUT).expect("it is answered").unwrap();
                    assert_eq!(part.size(), region.size());
                    // An image without pixels has no format to speak of.
                    assert!(region.is_empty() || part.format() == all.format());
                    for encoding in [None, Some(PixelEncoding::IMAGE_DATA)] {
                        let read = |image: &Snapshot| match encoding {
                            None => image.to_vec().unwrap(),
                            Some(encoding) => image.convert(encoding).unwrap(),
                        };
                        let pixel =
                            encoding.map_or(all.format(), |encoding| encoding.format).bytes_per_pixel();
                        let rows = read(&all);
                        let rows =
                            rows.chunks(pixel * 301).take(region.max.y as usize).skip(region.min.y as usize);
                        let columns = pixel * region.min.x as usize..pixel * region.max.x as usize;
                        let expected: Vec<u8> = rows.flat_map(|row| &row[columns.clone()]).copied().collect();
                        assert!(read(&part) == expected, "{region:?} of {format:?} {alpha_mode:?}");
                    }
                }
            }
            let mut batch = world.presenter.batch();
            batch.destroy_texture(texture.texture_id);
            batch.drop_texture(texture.texture_id);
        }
    }
    world.finish();
}

#[rstest]
fn reads_of_a_texture_in_one_batch_are_all_of_it(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    let texture = world.solid(GREEN, size(64, 64));
    let mut batch = world.presenter.batch();
    let reads: Vec<_> = (0..3)
        .map(|_| {
            let (sender, receiver) = channel();
            batch.get_image(CONTEXT, Some(texture), move |answer| drop(sender.send(answer)));
            receiver
        })
        .collect();
    batch.destroy_texture(texture.texture_id);
    batch.drop_texture(texture.texture_id);
    batch.submit();
    assert_eq!(world.presenter.statistics(CONTEXT).unwrap().in_flight, 1);
    for read in reads {
        let image = read.recv_timeout(TIMEOUT).expect("it is answered").unwrap();
        assert!(image.to_vec().unwrap() == GREEN.repeat(64 * 64));
    }
    world.finish();
}

// A canvas that says that it is larger than its texture gets an error for what the texture does not have, and nothing else.
#[rstest]
fn a_part_that_the_texture_does_not_have_is_refused(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    let mut texture = world.solid(GREEN, size(8, 8));
    texture.configuration.size = size(u32::MAX, u32::MAX);
    for (min, max, is_there) in
        [((6, 6), (8, 8), true), ((6, 6), (9, 8), false), ((u32::MAX - 1, 0), (u32::MAX, 1), false)]
    {
        let (sender, receiver) = channel();
        let region = Box2D::new(min.into(), max.into());
        world
            .presenter
            .get_image_region(CONTEXT, Some(texture), region, move |answer| drop(sender.send(answer)));
        let answer = receiver.recv_timeout(TIMEOUT).expect("it is answered");
        match answer {
            Ok(image) => assert!(is_there && image.to_vec().unwrap() == GREEN.repeat(4)),
            Err(error) => assert!(!is_there && matches!(error, GetImageError::Texture(_)), "{error:?}"),
        }
    }
    let mut batch = world.presenter.batch();
    batch.destroy_texture(texture.texture_id);
    batch.drop_texture(texture.texture_id);
    batch.submit();
    world.finish();
}

#[rstest]
fn a_texture_that_nobody_drew_is_cleared(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    for (epoch, alpha_mode, expected) in
        [(1, AlphaMode::Premultiplied, CLEAR), (2, AlphaMode::Opaque, [0, 0, 0, 255])]
    {
        let size = size(5, 3);
        let configuration = ContextConfiguration { alpha_mode, ..world.configuration(size) };
        let texture_id = world.gpu.texture(world.device, configuration.format, size, TextureUsages::COPY_SRC);
        world.present_and_wait(PendingTexture { texture_id, encoder_ids: None, configuration }, epoch);
        world.assert_shows(expected);
    }
    world.finish();
}

#[rstest]
fn other_formats_are_typed_errors(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    let texture = world.solid(RED, size(4, 4));
    let configuration = ContextConfiguration { format: TextureFormat::Rgba32Float, ..texture.configuration };
    world.present(PendingTexture { configuration, ..texture }, 1).unwrap();
    let PresentEnd::Failed(error) = world.end() else { panic!("it cannot be presented") };
    assert!(matches!(error, PresentError::UnsupportedFormat(TextureFormat::Rgba32Float)));
    world.finish();
}

// The copy is still in flight when script asks for the frame.
#[rstest]
fn a_read_right_after_a_present_returns_it(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    for i in 1..100u8 {
        world.present_solid([i, i, i, 255], size(200, 200), u64::from(i));
        assert_eq!(world.read(), [i, i, i, 255]);
    }
    world.finish();
}

// A frame that was in flight before the clear must not come back.
#[rstest]
fn a_clear_is_final(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    for epoch in 1..50 {
        world.present_solid(RED, size(300, 300), epoch);
        world.present_cleared(size(7, 7), AlphaMode::Premultiplied, epoch);
        world.end();
        world.end();
        world.assert_shows(CLEAR);
        assert_eq!(world.get_image(None).unwrap().size(), size(7, 7));
    }
    world.finish();
}

// A page that presents faster than the GPU copies may lose frames, but never the last one.
#[rstest]
fn a_flood_of_presents_ends_with_the_newest(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    let count = 300u32;
    let mut last = [0; 4];
    for i in 1..=count {
        last = [i as u8, (i >> 8) as u8, 77, 255];
        world.present_solid(last, size(500, 400), u64::from(i));
        assert!(world.presenter.statistics(CONTEXT).unwrap().in_flight <= 2);
    }
    let ends: Vec<_> = (0..count).map(|_| world.end()).collect();
    assert!(ends.iter().all(|end| !matches!(end, PresentEnd::Failed(_))));
    world.assert_shows(last);
    let statistics = world.presenter.statistics(CONTEXT).unwrap();
    assert!(statistics.buffers <= 4, "{statistics:?}");
    assert_eq!(statistics.presented + statistics.superseded, u64::from(count));
    world.finish();
}

// Sizes at the limits of a device and above must neither overflow nor leave the canvas broken.
#[rstest]
fn impossible_sizes_are_errors(#[values(Owned, Portable, Gl)] setup: Setup) {
    let Some(mut world) = World::new(setup) else { return };
    let real = world.solid(RED, size(4, 4));
    for (width, height) in
        [(u32::MAX, u32::MAX), (u32::MAX, 1), (1, u32::MAX), (65536, 65536), (40000, 40000)]
    {
        let configuration = ContextConfiguration { size: size(width, height), ..real.configuration };
        world.present_kept(PendingTexture { configuration, ..real }, 1).unwrap();
        let end = world.end();
        assert!(matches!(end, PresentEnd::Failed(_)), "{end:?}");
        assert_eq!(world.shown(), CLEAR, "an error texture presents blank");
        world.show(RED, size(4, 4), 2);
        // A page may give its canvas any size. It is one pixel on screen, and cannot be read.
        world.present_cleared(size(width, height), AlphaMode::Opaque, 3);
        assert!(matches!(world.end(), PresentEnd::Presented));
        assert_eq!(world.shown(), [0, 0, 0, 255]);
        assert!(matches!(world.get_image(None), Err(GetImageError::TooLarge(_))));
    }
    world.gpu.drop_texture(real.texture_id);
    world.finish();
}
