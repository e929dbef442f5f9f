//! Every kind of canvas from texture to page and to script.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use half::f16;

use super::stage::*;

const CONTEXT_OF_KIND: ContextId = ContextId(2000);

const FORMATS: [TextureFormat; 3] =
    [TextureFormat::Bgra8Unorm, TextureFormat::Rgba8Unorm, TextureFormat::Rgba16Float];
const SPACES: [PredefinedColorSpace; 2] = [PredefinedColorSpace::Srgb, PredefinedColorSpace::DisplayP3];
const MODES: [AlphaMode; 2] = [AlphaMode::Opaque, AlphaMode::Premultiplied];

fn halves(rgba: &[[f32; 4]]) -> Vec<u8> {
    rgba.iter().flatten().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect()
}

impl Stage {
    /// A canvas of these numbers, and its bytes.
    fn exact_texture(
        &self,
        configuration: ContextConfiguration,
        rgba: &[[f32; 4]],
    ) -> (PendingTexture, Vec<u8>) {
        let round = |value: f32| (value * 255.0).round() as u8;
        let bytes = match configuration.format {
            TextureFormat::Rgba16Float => halves(rgba),
            TextureFormat::Bgra8Unorm => {
                rgba.iter().flat_map(|&[r, g, b, a]| [b, g, r, a].map(round)).collect()
            }
            _ => rgba.iter().flat_map(|pixel| pixel.map(round)).collect(),
        };
        (self.gpu.canvas(self.device, configuration, &bytes), bytes)
    }
}

/// The texels of WebGPU's conformance suite for canvases: blue, green, red and yellow of 0.4 over alpha 0.4.
const TEXELS: [[f32; 4]; 4] =
    [[0.0, 0.0, 0.4, 0.4], [0.0, 0.4, 0.0, 0.4], [0.4, 0.0, 0.0, 0.4], [0.4, 0.4, 0.0, 0.4]];

/// The colors of the texels on the page, which is black.
fn shown(color_space: PredefinedColorSpace, alpha_mode: AlphaMode) -> [[u8; 3]; 4] {
    match (color_space, alpha_mode) {
        (PredefinedColorSpace::Srgb, _) => [[0, 0, 102], [0, 102, 0], [102, 0, 0], [102, 102, 0]],
        // P3 of 0.4 is 106.6, 104.0 and 112.2 in sRGB.
        (PredefinedColorSpace::DisplayP3, AlphaMode::Opaque) => {
            [[0, 0, 107], [0, 104, 0], [112, 0, 0], [102, 102, 0]]
        }
        // P3 of 1.0 in sRGB, times 0.4, is 106.3, 103.9 and 111.5.
        (PredefinedColorSpace::DisplayP3, AlphaMode::Premultiplied) => {
            [[0, 0, 106], [0, 104, 0], [111, 0, 0], [102, 102, 0]]
        }
    }
}

/// The texels as `ImageData`.
fn straight(color_space: PredefinedColorSpace, alpha_mode: AlphaMode) -> [[u8; 4]; 4] {
    match alpha_mode {
        AlphaMode::Opaque => shown(color_space, alpha_mode).map(|[r, g, b]| [r, g, b, 255]),
        // P3 is clamped to the primaries of sRGB.
        AlphaMode::Premultiplied => {
            [[0, 0, 255, 102], [0, 255, 0, 102], [255, 0, 0, 102], [255, 255, 0, 102]]
        }
    }
}

#[rstest]
fn formats_alpha_modes_and_colour_spaces_are_exact(#[values(Swgl, Egl)] gl: PageGl) {
    let Some(mut stage) = Stage::new(gl, (20, 20)) else { return };
    let context = CONTEXT_OF_KIND;
    for format in FORMATS {
        for color_space in SPACES {
            for alpha_mode in MODES {
                let what = format!("{gl:?} {format:?} {color_space:?} {alpha_mode:?}");
                stage.create_in_corner(context, (2, 2));
                let configuration =
                    ContextConfiguration { color_space, alpha_mode, ..stage.configuration(format, (2, 2)) };
                let (texture, drawn) = stage.exact_texture(configuration, &TEXELS);
                let captured = stage.read_image(context, Some(texture));
                stage.present_to(context, texture);
                let page = shown(color_space, alpha_mode).map(|[r, g, b]| [r, g, b, 255]).concat();
                assert_eq!(stage.corner(2, 2), page, "{what}");
                let presented = stage.read_image(context, None);
                for image in [captured, presented] {
                    assert_eq!(TextureFormat::from(image.format()), format);
                    assert_eq!((image.color_space(), image.alpha_mode()), (color_space, alpha_mode));
                    let expected = straight(color_space, alpha_mode).concat();
                    assert_eq!(image.to_straight_rgba().unwrap(), expected, "{what}");
                    // Script reads what was drawn, with full alpha if the canvas is opaque.
                    let mut drawn = drawn.clone();
                    match (alpha_mode, image.format()) {
                        (AlphaMode::Premultiplied, _) => {}
                        (_, PixelFormat::Rgba16Float) => {
                            let opaque = f16::ONE.to_le_bytes();
                            drawn.chunks_mut(8).for_each(|pixel| pixel[6..].copy_from_slice(&opaque));
                        }
                        (..) => drawn.chunks_mut(4).for_each(|pixel| pixel[3] = 255),
                    }
                    assert_eq!(image.to_vec().unwrap(), drawn, "{what}");
                    // P3 that is asked for as P3 is not converted.
                    let same = PixelEncoding { color_space, ..PixelEncoding::IMAGE_DATA };
                    let expected = straight(PredefinedColorSpace::Srgb, alpha_mode).concat();
                    assert_eq!(image.convert(same).unwrap(), expected, "{what}");
                }
                stage.destroy(context);
            }
        }
    }
    stage.finish();
}

// Rows of half floats are padded to other lengths than those of the frame that is made of them.
#[test]
fn half_floats_of_every_size_are_exact() {
    let Some(mut stage) = Stage::new(Swgl, (330, 170)) else { return };
    let context = CONTEXT_OF_KIND;
    let sizes = [(1, 1), (3, 5), (31, 2), (32, 3), (33, 2), (63, 1), (65, 2), (300, 150), (301, 151)];
    for (width, height) in sizes.into_iter().chain([(16384, 1), (1, 16384)]) {
        stage.create_in_corner(context, (width, height));
        let level = |i: u32| f32::from((i * 7 + i / 255) as u8) / 255.0;
        let rgba: Vec<_> = (0..width * height).map(|i| [level(i), level(i * 3), level(i / 5), 1.0]).collect();
        let configuration = stage.configuration(TextureFormat::Rgba16Float, (width, height));
        let (texture, drawn) = stage.exact_texture(configuration, &rgba);
        stage.present_to(context, texture);
        let (seen_width, seen_height) = (width.min(300), height.min(150));
        let bytes = |pixel: &[f32; 4]| pixel.map(|value| (value * 255.0).round() as u8);
        let rows = rgba.chunks(width as usize).take(seen_height as usize);
        let expected: Vec<u8> = rows.flat_map(|row| &row[..seen_width as usize]).flat_map(bytes).collect();
        assert!(stage.corner(seen_width, seen_height) == expected, "{width}×{height}");
        let image = stage.read_image(context, None);
        assert!(image.to_vec().unwrap() == drawn, "{width}×{height}");
        assert!(image.to_straight_rgba().unwrap() == rgba.iter().flat_map(bytes).collect::<Vec<_>>());
        stage.destroy(context);
    }
    stage.finish();
}

// Half floats are converted, to the byte order that the image key has had from its first frame.
#[rstest]
fn a_switch_to_half_floats_and_back_keeps_its_colours(#[values(Egl, Swgl)] gl: PageGl) {
    let Some(mut stage) = Stage::new(gl, (64, 64)) else { return };
    stage.place(48, 32);
    for (i, format) in FORMATS.into_iter().chain(FORMATS.into_iter().rev()).enumerate() {
        let blue = i as f32 * 20.0 / 255.0;
        let configuration = stage.configuration(format, (48, 32));
        let (texture, _) = stage.exact_texture(configuration, &[[1.0, 0.2, blue, 1.0]; 48 * 32]);
        stage.present(texture);
        stage.assert_corner((48, 32), [255, 51, i as u8 * 20, 255]);
    }
    stage.finish();
}

/// A premultiplied picture of all hues, which fades out to the bottom.
fn hues(size: u32) -> Vec<[f32; 4]> {
    let pixel = |i: u32| {
        let (x, y) = ((i % size) as f32 / size as f32, (i / size) as f32 / size as f32);
        let alpha = 1.0 - y;
        let channel = |shift: f32| {
            let distance = ((x + shift).fract() * 6.0 - 3.0).abs();
            (distance - 1.0).clamp(0.0, 1.0) * alpha
        };
        [channel(0.0), channel(2.0 / 3.0), channel(1.0 / 3.0), alpha]
    };
    (0..size * size).map(pixel).collect()
}

// Leaves `gallery.png` in `target/tmp` for a person to look at. Its rows are sRGB opaque, sRGB premultiplied, P3 opaque and P3
// premultiplied, its columns the three formats. All canvases of a row look the same, and P3 is more vivid.
#[test]
fn a_gallery_of_all_kinds_is_composited() {
    const SIZE: u32 = 96;
    /// A multiple of two squares, so that all canvases have the same squares behind them.
    const STEP: u32 = SIZE + 16;
    let (width, height) = (3 * STEP + 16, 4 * STEP + 16);
    let Some(mut stage) = Stage::new(Swgl, (width, height)) else { return };
    let checks = (0..height / 8).flat_map(|y| (0..width / 8).map(move |x| (x, y)));
    let mut items: Vec<_> = checks
        .map(|(x, y)| {
            let grey = if (x + y) % 2 == 0 { 0.8 } else { 0.4 };
            let color = ColorF::new(grey, grey, grey, 1.0);
            Item::Rect(rect(x as f32 * 8.0, y as f32 * 8.0, 8.0, 8.0), color)
        })
        .collect();
    let picture = hues(SIZE);
    let place = |column: u32, row: u32| (16 + column * STEP, 16 + row * STEP);
    for (row, (color_space, alpha_mode)) in
        (0..).zip(SPACES.into_iter().flat_map(|space| MODES.map(|mode| (space, mode))))
    {
        for (column, format) in (0..).zip(FORMATS) {
            let context = ContextId(u64::from(3000 + row * 3 + column));
            let key = stage.create(context);
            let configuration = stage.configuration(format, (SIZE, SIZE));
            let configuration = ContextConfiguration { color_space, alpha_mode, ..configuration };
            let (texture, _) = stage.exact_texture(configuration, &picture);
            stage.present_to(context, texture);
            let (x, y) = place(column, row);
            items.push(Item::Image(rect(x as f32, y as f32, SIZE as f32, SIZE as f32), key));
        }
    }
    stage.page.set_scene(&items);
    stage.page.render();
    let canvas = |stage: &mut Stage, column: u32, row: u32| {
        let (x, y) = place(column, row);
        stage.page.region(region(x as i32, y as i32, SIZE as i32, SIZE as i32))
    };
    for row in 0..4 {
        let first = canvas(&mut stage, 0, row);
        for column in 1..3 {
            let other = canvas(&mut stage, column, row);
            // Half floats have finer steps than bytes. In the dark, the curve makes the difference wider.
            let far = first.iter().zip(&other).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(far <= Some(4), "row {row}, column {column}: {far:?}");
        }
    }
    assert_ne!(canvas(&mut stage, 0, 0), canvas(&mut stage, 0, 2), "P3 is not sRGB");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gallery.png");
    let file = BufWriter::new(File::create(&path).unwrap());
    let mut encoder = png::Encoder::new(file, width, height);
    encoder.set_color(png::ColorType::Rgba);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&stage.page.pixels()).unwrap();
    writer.finish().unwrap();
    stage.page.set_scene(&[]);
    stage.page.render();
    stage.finish();
}

// The documentation of `AlphaEncoding` says that what is premultiplied stays so in another format.
#[test]
fn half_floats_are_asked_for_of_a_canvas_of_bytes() {
    let Some(stage) = Stage::new(Swgl, (20, 20)) else { return };
    let configuration = stage.configuration(TextureFormat::Bgra8Unorm, (2, 2));
    let (texture, _) = stage.exact_texture(configuration, &TEXELS);
    let image = stage.read_image(CONTEXT, Some(texture));
    let halves_of = |alpha| PixelEncoding {
        format: PixelFormat::Rgba16Float,
        color_space: PredefinedColorSpace::Srgb,
        alpha,
    };
    // 102 / 255 is 0.4 rounded.
    assert_eq!(image.convert(halves_of(AlphaEncoding::Premultiplied)).unwrap(), halves(&TEXELS));
    let straight = TEXELS.map(|pixel| [pixel[0] / 0.4, pixel[1] / 0.4, pixel[2] / 0.4, pixel[3]]);
    assert_eq!(image.convert(halves_of(AlphaEncoding::Straight)).unwrap(), halves(&straight));
    stage.gpu.drop_texture(texture.texture_id);
    stage.finish();
}
