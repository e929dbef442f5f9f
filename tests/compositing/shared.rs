//! Frames that are images of the GPU's, which WebRender samples.

use crate::stage::*;

#[track_caller]
fn assert_shared(stage: &Stage, shared: u64) {
    let statistics = stage.presenter.borrow().statistics(CONTEXT).unwrap();
    assert_eq!((statistics.shared, statistics.readback), (shared, None));
}

#[rstest]
fn what_is_drawn_is_sampled(
    #[values(TextureFormat::Bgra8Unorm, TextureFormat::Rgba8Unorm)] format: TextureFormat,
) {
    let Some(mut stage) = Stage::sharing((80, 60)) else { return };
    let size = (33, 21);
    stage.create_in_corner(CONTEXT_TWO, size);
    let configuration = stage.configuration(format, size);
    for frame in 0..6_u8 {
        let rgba: Vec<u8> = (0..33 * 21_u32)
            .flat_map(|i| [(i % 33) as u8 * 7, (i / 33) as u8 * 11, 40 * frame, 255])
            .collect();
        let texture = stage.texture(configuration, &rgba);
        assert!(matches!(stage.present_to(CONTEXT_TWO, texture), PresentEnd::Presented));
        assert!(stage.corner(33, 21) == rgba, "frame {frame}");
        let image = stage.read_image(CONTEXT_TWO, None);
        assert!(image.to_straight_rgba().unwrap() == rgba, "frame {frame}");
    }
    let statistics = stage.presenter.borrow().statistics(CONTEXT_TWO).unwrap();
    assert_eq!((statistics.shared, statistics.readback), (6, None));
    stage.finish();
}

const CONTEXT_TWO: ContextId = ContextId(4);

#[test]
fn a_solid_canvas_is_shared() {
    let Some(mut stage) = Stage::sharing((80, 60)) else { return };
    stage.place(33, 21);
    stage.present_solid(RED, (33, 21));
    stage.assert_corner((33, 21), RED);
    assert_shared(&stage, 1);
    stage.present_solid(GREEN, (33, 21));
    stage.assert_corner((33, 21), GREEN);
    assert_shared(&stage, 2);
    stage.finish();
}
