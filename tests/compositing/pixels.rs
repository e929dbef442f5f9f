//! Every kind of canvas from texture to page and to script. Expected pixels are worked out by hand.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use half::f16;
use webgpu_presentation::{AlphaEncoding, PixelEncoding, PixelFormat, PredefinedColorSpace};

use super::*;

const FORMATS: [TextureFormat; 3] =
    [TextureFormat::Bgra8Unorm, TextureFormat::Rgba8Unorm, TextureFormat::Rgba16Float];
const SPACES: [PredefinedColorSpace; 2] = [PredefinedColorSpace::Srgb, PredefinedColorSpace::DisplayP3];
const MODES: [AlphaMode; 2] = [AlphaMode::Opaque, AlphaMode::Premultiplied];

fn halves(rgba: &[[f32; 4]]) -> Vec<u8> {
    rgba.iter().flatten().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect()
}

impl Stage {
    /// A canvas texture of numbers.
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
        let texture_id = self.gpu.texture_with(self.device, configuration.format, configuration.size, &bytes);
        (PendingTexture { texture_id, encoder_ids: None, configuration }, bytes)
    }

    fn configuration(
        &self,
        format: TextureFormat,
        color_space: PredefinedColorSpace,
        alpha_mode: AlphaMode,
        size: (u32, u32),
    ) -> ContextConfiguration {
        let Device { id, queue } = self.device;
        let size = Size2D::new(size.0, size.1);
        ContextConfiguration { device_id: id, queue_id: queue, format, color_space, alpha_mode, size }
    }

    fn read_image(&self, context: ContextId, texture: Option<PendingTexture>) -> Snapshot {
        let (sender, receiver) = channel();
        self.presenter.borrow_mut().get_image(context, texture, move |image| drop(sender.send(image)));
        receiver.recv_timeout(TIMEOUT).expect("get_image is answered").unwrap()
    }

    /// A context of its own, shown in the corner: all frames of one have the byte order of its first.
    fn fresh(&mut self, context: ContextId, size: (u32, u32)) {
        self.create(context);
        self.key = self.page.new_key();
        self.presenter.borrow_mut().set_image_key(context, self.key).unwrap();
        self.place(size.0, size.1);
    }

    fn end_context(&mut self, context: ContextId) {
        self.page.set_scene(&[]);
        self.page.render();
        self.presenter.borrow_mut().destroy_context(context).unwrap();
    }
}

/// R26's texels: blue, green, red, yellow; each 0.4 over alpha 0.4.
const TEXELS: [[f32; 4]; 4] =
    [[0.0, 0.0, 0.4, 0.4], [0.0, 0.4, 0.0, 0.4], [0.4, 0.0, 0.0, 0.4], [0.4, 0.4, 0.0, 0.4]];

/// What of 0.4 of each texel's colour is left in sRGB: on the page, which is black.
fn shown(color_space: PredefinedColorSpace, alpha_mode: AlphaMode) -> [[u8; 3]; 4] {
    match (color_space, alpha_mode) {
        (PredefinedColorSpace::Srgb, _) => [[0, 0, 102], [0, 102, 0], [102, 0, 0], [102, 102, 0]],
        // Of 0.4: 106.6, 104.0 and 112.2.
        (PredefinedColorSpace::DisplayP3, AlphaMode::Opaque) => {
            [[0, 0, 107], [0, 104, 0], [112, 0, 0], [102, 102, 0]]
        }
        // Of 1.0, times 0.4: 106.3, 103.9 and 111.5.
        (PredefinedColorSpace::DisplayP3, AlphaMode::Premultiplied) => {
            [[0, 0, 106], [0, 104, 0], [111, 0, 0], [102, 102, 0]]
        }
    }
}

/// What `ImageData` of them is.
fn straight(color_space: PredefinedColorSpace, alpha_mode: AlphaMode) -> [[u8; 4]; 4] {
    match alpha_mode {
        AlphaMode::Opaque => shown(color_space, alpha_mode).map(|[r, g, b]| [r, g, b, 255]),
        // Clamped to sRGB's primaries.
        AlphaMode::Premultiplied => {
            [[0, 0, 255, 102], [0, 255, 0, 102], [255, 0, 0, 102], [255, 255, 0, 102]]
        }
    }
}

fn the_matrix_is_exact(gl: PageGl) {
    let mut stage = stage!(gl, (20, 20));
    let context = ContextId(2000);
    for format in FORMATS {
        for color_space in SPACES {
            for alpha_mode in MODES {
                let what = format!("{gl:?} {format:?} {color_space:?} {alpha_mode:?}");
                stage.fresh(context, (2, 2));
                let configuration = stage.configuration(format, color_space, alpha_mode, (2, 2));
                let (texture, drawn) = stage.exact_texture(configuration, &TEXELS);
                let captured = stage.read_image(context, Some(texture));
                stage.present_to(context, texture);
                let page = shown(color_space, alpha_mode).map(|[r, g, b]| [r, g, b, 255]).concat();
                assert_eq!(stage.corner(2, 2), page, "{what}");
                let presented = stage.read_image(context, None);
                for image in [captured, presented] {
                    assert_eq!(TextureFormat::from(image.format()), format);
                    assert_eq!((image.color_space(), image.alpha_mode()), (color_space, alpha_mode));
                    assert_eq!(
                        image.to_straight_rgba(),
                        straight(color_space, alpha_mode).concat(),
                        "{what}"
                    );
                    // As it was drawn; without script's alpha if it is opaque.
                    let mut drawn = drawn.clone();
                    match (alpha_mode, image.format()) {
                        (AlphaMode::Premultiplied, _) => {}
                        (_, PixelFormat::Rgba16Float) => {
                            let opaque = f16::ONE.to_le_bytes();
                            drawn.chunks_mut(8).for_each(|pixel| pixel[6..].copy_from_slice(&opaque));
                        }
                        (..) => drawn.chunks_mut(4).for_each(|pixel| pixel[3] = 255),
                    }
                    assert_eq!(image.to_vec(), drawn, "{what}");
                    // P3 from P3 is not converted.
                    let same = PixelEncoding { color_space, ..PixelEncoding::IMAGE_DATA };
                    assert_eq!(
                        image.convert(same),
                        straight(PredefinedColorSpace::Srgb, alpha_mode).concat(),
                        "{what}"
                    );
                }
                stage.end_context(context);
            }
        }
    }
    stage.finish();
}

// R26, R1 to R6.
#[test]
fn formats_alpha_modes_and_colour_spaces_are_exact_on_swgl() {
    the_matrix_is_exact(PageGl::Swgl);
}

#[test]
fn formats_alpha_modes_and_colour_spaces_are_exact_on_egl() {
    the_matrix_is_exact(PageGl::Egl);
}

// R13: rows of half floats are padded otherwise than those of the frame that is made of them.
#[test]
fn half_floats_of_every_size_are_exact() {
    let mut stage = stage!(PageGl::Swgl, (330, 170));
    let context = ContextId(2000);
    let sizes = [(1, 1), (3, 5), (31, 2), (32, 3), (33, 2), (63, 1), (65, 2), (300, 150), (301, 151)];
    for (width, height) in sizes.into_iter().chain([(16384, 1), (1, 16384)]) {
        stage.fresh(context, (width, height));
        let level = |i: u32| f32::from((i * 7 + i / 255) as u8) / 255.0;
        let rgba: Vec<_> = (0..width * height).map(|i| [level(i), level(i * 3), level(i / 5), 1.0]).collect();
        let (format, alpha_mode) = (TextureFormat::Rgba16Float, AlphaMode::Premultiplied);
        let configuration =
            stage.configuration(format, PredefinedColorSpace::Srgb, alpha_mode, (width, height));
        let (texture, drawn) = stage.exact_texture(configuration, &rgba);
        stage.present_to(context, texture);
        let (seen_width, seen_height) = (width.min(300), height.min(150));
        let bytes = |pixel: &[f32; 4]| pixel.map(|value| (value * 255.0).round() as u8);
        let rows = rgba.chunks(width as usize).take(seen_height as usize);
        let expected: Vec<u8> = rows.flat_map(|row| &row[..seen_width as usize]).flat_map(bytes).collect();
        assert!(stage.corner(seen_width, seen_height) == expected, "{width}×{height}");
        let image = stage.read_image(context, None);
        assert!(image.to_vec() == drawn, "{width}×{height}");
        assert!(image.to_straight_rgba() == rgba.iter().flat_map(bytes).collect::<Vec<_>>());
        stage.end_context(context);
    }
    stage.finish();
}

// R22, when the format changes to one that is converted, and back.
#[test]
fn a_switch_to_half_floats_and_back_keeps_its_colours() {
    for gl in [PageGl::Egl, PageGl::Swgl] {
        let mut stage = stage!(gl, (64, 64));
        stage.place(48, 32);
        for (i, format) in FORMATS.into_iter().chain(FORMATS.into_iter().rev()).enumerate() {
            let blue = i as f32 * 20.0 / 255.0;
            let configuration =
                stage.configuration(format, PredefinedColorSpace::Srgb, AlphaMode::Premultiplied, (48, 32));
            let (texture, _) = stage.exact_texture(configuration, &[[1.0, 0.2, blue, 1.0]; 48 * 32]);
            stage.present(texture);
            stage.assert_corner((48, 32), [255, 51, i as u8 * 20, 255]);
        }
        stage.finish();
    }
}

/// A picture of all hues, paler to the right, fading out to the bottom; premultiplied.
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

// For a person to look at: `target/tmp/gallery.png`. Rows: sRGB opaque, sRGB premultiplied, P3 opaque, P3 premultiplied; columns: the
// three formats. All of a row look the same; P3 is more vivid.
#[test]
fn a_gallery_of_all_kinds_is_composited() {
    const SIZE: u32 = 96;
    /// All canvases have the same squares behind them.
    const STEP: u32 = SIZE + 16;
    let (width, height) = (3 * STEP + 16, 4 * STEP + 16);
    let mut stage = stage!(PageGl::Swgl, (width, height));
    let checks = (0..height / 8).flat_map(|y| (0..width / 8).map(move |x| (x, y)));
    let mut items: Vec<_> = checks
        .map(|(x, y)| {
            let grey = if (x + y) % 2 == 0 { 0.8 } else { 0.4 };
            let color = webrender_api::ColorF::new(grey, grey, grey, 1.0);
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
            stage.create(context);
            let key = stage.page.new_key();
            stage.presenter.borrow_mut().set_image_key(context, key).unwrap();
            let configuration = stage.configuration(format, color_space, alpha_mode, (SIZE, SIZE));
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
            // Half floats have finer steps than bytes, which the curve makes wider where it is dark.
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

// The documentation of `Alpha`: what is premultiplied stays so in another format.
#[test]
fn half_floats_are_asked_for_of_a_canvas_of_bytes() {
    let stage = stage!(PageGl::Swgl, (20, 20));
    let (format, alpha_mode) = (TextureFormat::Bgra8Unorm, AlphaMode::Premultiplied);
    let configuration = stage.configuration(format, PredefinedColorSpace::Srgb, alpha_mode, (2, 2));
    let (texture, _) = stage.exact_texture(configuration, &TEXELS);
    let image = stage.read_image(CONTEXT, Some(texture));
    let halves_of = |alpha| PixelEncoding {
        format: PixelFormat::Rgba16Float,
        color_space: PredefinedColorSpace::Srgb,
        alpha,
    };
    // 102 / 255 is 0.4 rounded.
    assert_eq!(image.convert(halves_of(AlphaEncoding::Premultiplied)), halves(&TEXELS));
    let straight = TEXELS.map(|pixel| [pixel[0] / 0.4, pixel[1] / 0.4, pixel[2] / 0.4, pixel[3]]);
    assert_eq!(image.convert(halves_of(AlphaEncoding::Straight)), halves(&straight));
    stage.gpu.drop_texture(texture.texture_id);
    stage.finish();
}
