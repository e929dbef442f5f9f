//! A device that is lost while the copies of a batch are submitted.

use std::collections::HashMap;

use super::scene::*;
use super::world::*;

const CANVASES: u64 = 4;

/// Buffer ids of each canvas.
const BUFFERS: u64 = 3;

/// Where the driver loses the device: in the only submission of a batch; or in the second or the first one of two, which a batch has if it
/// presents to each canvas twice.
#[derive(Clone, Copy, Debug, PartialEq)]
enum LossIn {
    Only,
    Second,
    First,
}

#[rstest]
fn a_batch_in_which_the_device_is_lost_ends_each_present_once(
    #[values(FrameMemoryKind::Owned, FrameMemoryKind::Portable)] memory: FrameMemoryKind,
    #[values(LossIn::Only, LossIn::Second, LossIn::First)] loss: LossIn,
) {
    let Some(mut scene) = Scene::new(memory, Duration::MAX) else { return };
    let buffers: Vec<_> = (0..CANVASES * BUFFERS).map(|index| BufferId::zip(index as u32, 1)).collect();
    for (canvas, ids) in (0..).zip(buffers.chunks(BUFFERS as usize)) {
        scene.create(canvas, BufferIds::Provided(ids.to_vec()));
    }
    let mut encoders = (0..).map(|index| EncoderIds {
        command_encoder: CommandEncoderId::zip(index, 1),
        command_buffer: CommandBufferId::zip(index, 1),
    });
    let mut handed = vec![];
    let mut present_to = |scene: &mut Scene, page: usize, rounds: &[([u8; 4], u64)]| {
        let textures: Vec<_> = rounds
            .iter()
            .flat_map(|round| (0..CANVASES).map(move |canvas| (canvas, *round)))
            .map(|(canvas, (color, epoch))| {
                let encoder_ids = encoders.next();
                handed.extend(encoder_ids);
                (canvas, PendingTexture { encoder_ids, ..scene.texture(page, color) }, CanvasEpoch(epoch))
            })
            .collect();
        scene.call(AT_ONCE, |presenter| {
            let mut batch = presenter.batch();
            for (canvas, texture, epoch) in textures {
                batch.present(ContextId(canvas), Contents::Texture(texture), epoch).unwrap();
            }
            batch.submit();
        });
    };
    let shows = |scene: &mut Scene, sequence: u64, color: [u8; 4]| {
        for canvas in 0..CANVASES {
            let end = scene.end(canvas, sequence);
            assert!(matches!(end, PresentEnd::Presented), "{end:?}");
            assert_eq!((scene.shown(canvas), scene.acknowledged(canvas)), (color, Some(sequence)));
        }
    };
    present_to(&mut scene, 0, &[(RED, 1)]);
    shows(&mut scene, 1, RED);

    let failed = scene.layer.failed(Call::Submit);
    let passing = if loss == LossIn::Second { 1 } else { 0 };
    scene.layer.fail_on(scene.number(0), Call::Submit, vk::Result::ERROR_DEVICE_LOST, passing..);
    let rounds: &[_] = if loss == LossIn::Only { &[(GREEN, 2)] } else { &[(GREEN, 2), (BLUE, 3)] };
    present_to(&mut scene, 0, rounds);
    let last = 1 + rounds.len() as u64;
    assert!(scene.layer.failed(Call::Submit) > failed);
    for canvas in 0..CANVASES {
        let ends: Vec<_> = (2..=last).map(|sequence| scene.end(canvas, sequence)).collect();
        let is_lost = |end: &PresentEnd| matches!(end, PresentEnd::Failed(PresentError::DeviceLost));
        assert!(ends.iter().skip(passing as usize).all(is_lost), "{ends:?}");
        let shown = match (loss, &ends[0]) {
            (LossIn::Second, PresentEnd::Presented) => GREEN,
            // Portable memory can be lost with the device.
            (LossIn::Second, end) => {
                assert!(is_lost(end) && memory == FrameMemoryKind::Portable, "{end:?}");
                RED
            }
            (LossIn::Only, _) => RED,
            // What is presented after a device was lost is blank.
            (LossIn::First, _) => CLEAR,
        };
        assert_eq!((scene.shown(canvas), scene.acknowledged(canvas)), (shown, Some(last)));
    }
    scene.layer.pass_all();
    present_to(&mut scene, 1, &[(BLUE, last + 1)]);
    shows(&mut scene, last + 1, BLUE);

    let (device, queue) = scene.device(0);
    scene.call(AT_ONCE, |presenter| presenter.drop_queue(device, queue));
    scene.call(AT_ONCE, |presenter| presenter.drop_device(device));
    for canvas in 0..CANVASES {
        scene.presenter().destroy_context(ContextId(canvas)).unwrap();
    }
    scene.drop_presenter();
    let mut times = HashMap::<_, u32>::new();
    scene.returned().into_iter().for_each(|id| *times.entry(id).or_default() += 1);
    let encoders = handed.iter().flat_map(|ids| {
        [ReturnedId::CommandEncoder(ids.command_encoder), ReturnedId::CommandBuffer(ids.command_buffer)]
    });
    let contexts = (0..CANVASES).map(|canvas| ReturnedId::Context(ContextId(canvas)));
    let all = buffers.into_iter().map(ReturnedId::Buffer).chain(encoders).chain(contexts);
    assert_eq!(times, all.map(|id| (id, 1)).collect());
}
