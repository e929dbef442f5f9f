//! Images whose size a page chooses, in a process that has no address space for them.
//!
//! A test runs itself again in a process of its own, because the limit is one of the whole process.

use std::process::Command;

use rlimit::Resource;
use webrender_api::ExternalImageSource;

use super::world::*;
use crate::{AlphaMode, CopyPixelsError, PixelEncoding, PixelFormat, Snapshot};

/// Runs `limited` in a process of its own. `test` is the name of the calling test.
fn in_child(test: &str, limited: impl FnOnce()) {
    const CHILD: &str = "WEBGPU_PRESENTATION_LIMITED";
    if std::env::var_os(CHILD).is_some() {
        return limited();
    }
    let test = format!("tests::limited::{test}");
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args([&*test, "--exact", "--nocapture"]).env(CHILD, "1").output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{error}", output.status);
    assert!(out.contains("1 passed"), "{out}");
}

/// Leaves this process so many bytes of address space more than it uses.
fn limit_to(more: u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let used = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let kibibytes: u64 = used.trim().trim_end_matches(" kB").parse().unwrap();
    set_limit(1024 * kibibytes + more);
}

fn set_limit(soft: u64) {
    let (_, hard) = Resource::AS.get().unwrap();
    Resource::AS.set(soft.min(hard), hard).unwrap();
}

#[test]
fn huge_cleared_images_are_read_or_fail() {
    in_child("huge_cleared_images_are_read_or_fail", || {
        limit_to(256 << 20);
        for (width, height) in [(536_870_848, 1), (16384, 16384)] {
            for alpha_mode in [AlphaMode::Opaque, AlphaMode::Premultiplied] {
                let image = Snapshot::cleared(size(width, height), alpha_mode);
                let halves = PixelEncoding { format: PixelFormat::Rgba16Float, ..PixelEncoding::IMAGE_DATA };
                assert_eq!(image.to_vec(), Err(CopyPixelsError::OutOfMemory));
                assert_eq!(image.to_straight_rgba(), Err(CopyPixelsError::OutOfMemory));
                assert_eq!(image.convert(halves), Err(CopyPixelsError::OutOfMemory));
                // A row of 64 KiB is no problem.
                assert_eq!(image.rows().err(), (height == 1).then_some(CopyPixelsError::OutOfMemory));
                // Whoever has memory, for a part of it at least, gets the pixels without any more.
                let part = image.region(euclid::default::Box2D::from_size(size(16384, 1))).unwrap();
                let mut row = vec![7; 4 * 16384];
                part.copy_into(&mut row, 4 * 16384, PixelEncoding::IMAGE_DATA).unwrap();
                let alpha = if alpha_mode == AlphaMode::Opaque { 255 } else { 0 };
                assert_eq!(row, [0, 0, 0, alpha].repeat(16384));
            }
        }
    });
}

#[test]
fn a_large_cleared_image_is_converted_without_memory() {
    in_child("a_large_cleared_image_is_converted_without_memory", || {
        let (width, mut into) = (32 << 20, vec![7; 128 << 20]);
        limit_to(32 << 20);
        let image = Snapshot::cleared(size(width, 1), AlphaMode::Opaque);
        image.copy_into(&mut into, 128 << 20, PixelEncoding::IMAGE_DATA).unwrap();
        assert!(into.as_chunks::<4>().0.iter().all(|pixel| *pixel == [0, 0, 0, 255]));
    });
}

// WebRender aborts on bytes that are too few, and paints an image without bytes white.
#[test]
fn a_renderer_gets_enough_bytes_or_none() {
    in_child("a_renderer_gets_enough_bytes_or_none", || {
        let mut world = World::new(Owned);
        world.show_texture(world.texture(RED, size(4096, 2048)), 1);
        let large = world.last_offer();
        world.show(GREEN, 2);
        for more in [4 << 20, 256 << 20] {
            limit_to(more);
            // Without a generation it can be the large image that is drawn; and for one that was never issued only zeros are enough.
            for generation in [None, Some(200)] {
                match world.images.lock(CONTEXT.into(), generation) {
                    ExternalImageSource::RawData(bytes) => {
                        assert!(more > 32 << 20 && bytes.len() >= 32 << 20, "{} bytes", bytes.len());
                        world.images.unlock(CONTEXT.into(), generation);
                    }
                    _ => assert_eq!(more, 4 << 20, "there is room"),
                }
            }
            set_limit(rlimit::INFINITY);
        }
        world.presenter.destroy_context(CONTEXT).unwrap();
        limit_to(4 << 20);
        let ended = world.images.lock(CONTEXT.into(), Some(large.1));
        assert!(matches!(ended, ExternalImageSource::Invalid));
        set_limit(rlimit::INFINITY);
        assert_eq!(world.locked(large), CLEAR);
    });
}
