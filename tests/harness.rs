//! The headless page itself, without this crate: external images are made by hand.

mod support;

use rstest::rstest;
use support::page::PageGl::{self, Egl, Swgl};
use support::page::{Item, Page, rect};
use webrender::Transaction;
use webrender_api::units::{DeviceIntSize, TexelRect};
use webrender_api::{
    ColorF, ExternalImage, ExternalImageData, ExternalImageHandler, ExternalImageId, ExternalImageSource,
    ExternalImageType, ImageData, ImageDescriptor, ImageDescriptorFlags, ImageFormat, ImageKey,
};

/// Answers every lock with the same bytes.
struct Fixed(Vec<u8>);

impl ExternalImageHandler for Fixed {
    fn lock(&mut self, _: ExternalImageId, _: u8, _: bool) -> ExternalImage<'_> {
        let source = ExternalImageSource::RawData(&self.0);
        ExternalImage { uv: TexelRect::new(0.0, 0.0, 0.0, 0.0), source }
    }

    fn unlock(&mut self, _: ExternalImageId, _: u8) {}
}

/// A page of `size` that knows one external image of the same size.
fn page_with_image(
    gl: PageGl,
    size: (u32, u32),
    format: ImageFormat,
    flags: ImageDescriptorFlags,
    bytes: Vec<u8>,
) -> (Page, ImageKey) {
    let page = Page::new(gl, size, Box::new(Fixed(bytes))).expect("WebRender starts");
    let key = page.new_key();
    let size = DeviceIntSize::new(size.0 as i32, size.1 as i32);
    let descriptor = ImageDescriptor { format, size, stride: None, offset: 0, flags };
    let data = ExternalImageData {
        id: ExternalImageId(1),
        channel_index: 0,
        image_type: ExternalImageType::Buffer,
        normalized_uvs: false,
    };
    let mut transaction = Transaction::new();
    transaction.add_image(key, descriptor, ImageData::External(data), None);
    page.new_api().send_transaction(page.document(), transaction);
    (page, key)
}

#[rstest]
fn bytes_come_out_as_pixels_in_either_order(#[values(Swgl, Egl)] gl: PageGl) {
    for (format, bytes) in [
        (ImageFormat::RGBA8, [1, 2, 3, 255, 40, 50, 60, 255]),
        (ImageFormat::BGRA8, [3, 2, 1, 255, 60, 50, 40, 255]),
    ] {
        let flags = ImageDescriptorFlags::IS_OPAQUE;
        let (mut page, key) = page_with_image(gl, (1, 2), format, flags, bytes.to_vec());
        page.set_scene(&[Item::Image(rect(0.0, 0.0, 1.0, 2.0), key)]);
        page.render();
        assert_eq!(page.pixels(), [1, 2, 3, 255, 40, 50, 60, 255], "{format:?}");
    }
}

// Tests of composited pages expect exact pixels. This one tries every alpha over every gray, with colors from none to the most
// that the alpha allows.
#[rstest]
fn premultiplied_pixels_blend_as_the_harness_says(#[values(Swgl, Egl)] gl: PageGl) {
    let column = |x: u32| (x as f32, x as f32 / 255.0);
    let pixel = |x: u32, y: u32| [(y * (x * 7 % 256) / 255) as u8, 0, (y * 100 / 255) as u8, y as u8];
    let coordinates = || (0..256u32).flat_map(|y| (0..256u32).map(move |x| (x, y)));
    let bytes: Vec<u8> = coordinates().flat_map(|(x, y)| pixel(x, y)).collect();
    for image in [Item::Image, Item::PlainImage] {
        let flags = ImageDescriptorFlags::empty();
        let (mut page, key) = page_with_image(gl, (256, 256), ImageFormat::RGBA8, flags, bytes.clone());
        let mut scene: Vec<_> = (0..256)
            .map(column)
            .map(|(x, grey)| Item::Rect(rect(x, 0.0, 1.0, 256.0), ColorF::new(grey, grey, grey, 1.0)))
            .collect();
        scene.push(image(rect(0.0, 0.0, 256.0, 256.0), key));
        page.set_scene(&scene);
        page.render();
        for ((x, y), got) in coordinates().zip(page.pixels().as_chunks::<4>().0) {
            let expected = gl.blend(pixel(x, y), [x as u8; 3]);
            assert_eq!(got[..3], expected, "{:?} over {x}", pixel(x, y));
        }
    }
}

#[rstest]
fn a_scene_paints_rectangles_in_their_order(#[values(Swgl, Egl)] gl: PageGl) {
    let mut page = Page::new(gl, (2, 1), Box::new(Fixed(vec![]))).expect("WebRender starts");
    let red = Item::Rect(rect(0.0, 0.0, 2.0, 1.0), ColorF::new(1.0, 0.0, 0.0, 1.0));
    let blue = Item::Rect(rect(1.0, 0.0, 1.0, 1.0), ColorF::new(0.0, 0.0, 1.0, 1.0));
    page.set_scene(&[red, blue]);
    page.render();
    assert_eq!(page.pixels(), [255, 0, 0, 255, 0, 0, 255, 255]);
}
