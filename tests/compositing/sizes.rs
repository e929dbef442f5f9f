//! Canvases of every size, pixel by pixel.

use super::stage::*;

/// Premultiplied pixels that differ from each other.
fn pattern(width: u32, height: u32, opaque: bool) -> Vec<u8> {
    let pixel = |i: u32| {
        let alpha = if opaque { 40 } else { (i * 13 % 256) as u8 };
        let color = |factor: u32| (i * factor % (u32::from(alpha) + 1)) as u8;
        [color(7), color(11), color(3), alpha]
    };
    (0..width * height).flat_map(pixel).collect()
}

/// What a black page shows: the colors as they are.
fn on_black(pixels: &[u8]) -> Vec<u8> {
    pixels.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b, 255]).collect()
}

#[rstest]
#[case::swgl(Swgl, &[(1, 1), (3, 5), (300, 150), (301, 151), (1919, 1079)])]
#[case::egl(Egl, &[(1, 1), (3, 5), (300, 150), (301, 151)])]
fn formats_and_sizes_are_exact(#[case] gl: PageGl, #[case] sizes: &[(u32, u32)]) {
    let largest = sizes[sizes.len() - 1];
    let Some(mut stage) = Stage::new(gl, (largest.0 + 8, largest.1 + 8)) else { return };
    let context = ContextId(1000);
    for format in [TextureFormat::Bgra8Unorm, TextureFormat::Rgba8Unorm] {
        for alpha_mode in [AlphaMode::Opaque, AlphaMode::Premultiplied] {
            for &(width, height) in sizes {
                stage.create_in_corner(context, (width, height));
                let rgba = pattern(width, height, alpha_mode == AlphaMode::Opaque);
                let configuration = stage.configuration(format, (width, height));
                let texture = stage.texture(ContextConfiguration { alpha_mode, ..configuration }, &rgba);
                stage.present_to(context, texture);
                let shown = stage.corner(width, height);
                assert!(shown == on_black(&rgba), "{gl:?} {format:?} {alpha_mode:?} {width}×{height}");
                // Nothing is drawn beside it.
                assert_eq!(stage.page.region(region(width as i32, 0, 1, 1)), BLACK);
                assert_eq!(stage.page.region(region(0, height as i32, 1, 1)), BLACK);
                stage.destroy(context);
            }
        }
    }
    stage.finish();
}

// The canvas is wider than WebRender's textures, so WebRender tiles it.
#[test]
fn a_canvas_of_8193_pixels_by_one_is_exact_at_both_ends() {
    let Some(mut stage) = Stage::new(Swgl, (300, 4)) else { return };
    let rgba = pattern(8193, 1, false);
    let texture = stage.texture(stage.configuration(TextureFormat::Bgra8Unorm, (8193, 1)), &rgba);
    stage.place(8193, 1);
    stage.present(texture);
    assert!(stage.corner(300, 1) == on_black(&rgba[..300 * 4]));
    stage.place_at(200 - 8193, 8193, 1);
    assert!(stage.corner(200, 1) == on_black(&rgba[(8193 - 200) * 4..]));
    assert_eq!(stage.page.region(region(200, 0, 1, 1)), BLACK);
    stage.finish();
}
