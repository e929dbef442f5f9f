//! What happens in the middle of a submission, on another thread.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wgpu_core::SubmissionIndex;
use wgpu_core::id::{BufferId, DeviceId, QueueId, TextureId};

use super::owners::{PAGE, assert_deleted_last, assert_each_once, create, descriptor, present};
use super::world::*;
use crate::gpu::{
    CreateBufferError, Gpu, GpuDevice, IdleMemory, PollResult, ReadbackCopy, Submission, SubmitError,
    WaitResult,
};
use crate::gpu::{fake, fake::FakeGpu};
use crate::{
    CanvasEpoch, Contents, ContextMap, EncoderIds, GetImageError, PresentEnd, PresentError, Presenter,
    PresenterOptions,
};

const RED: [u8; 4] = [0, 0, 255, 255];
const GREEN: [u8; 4] = [0, 255, 0, 255];

type Interrupt = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// A GPU on which something happens in the middle of a submission.
struct Interrupted {
    gpu: FakeGpu,
    interrupt: Interrupt,
}

struct InterruptedDevice {
    device: Arc<dyn GpuDevice>,
    interrupt: Interrupt,
}

impl Gpu for Interrupted {
    fn open(&self, device: DeviceId) -> Arc<dyn GpuDevice> {
        Arc::new(InterruptedDevice { device: self.gpu.open(device), interrupt: self.interrupt.clone() })
    }

    fn drop_buffer(&self, id: BufferId) {
        self.gpu.drop_buffer(id);
    }

    fn destroy_texture(&self, id: TextureId) {
        self.gpu.destroy_texture(id);
    }

    fn drop_texture(&self, id: TextureId) {
        self.gpu.drop_texture(id);
    }

    fn destroy_device(&self, id: DeviceId) {
        self.gpu.destroy_device(id);
    }

    fn drop_device(&self, id: DeviceId) {
        self.gpu.drop_device(id);
    }

    fn poll(&self, id: DeviceId) -> PollResult {
        self.gpu.poll(id)
    }
}

impl GpuDevice for InterruptedDevice {
    fn id(&self) -> DeviceId {
        self.device.id()
    }

    fn memory(&self) -> Option<FrameMemoryKind> {
        self.device.memory()
    }

    fn largest_texture(&self) -> u32 {
        self.device.largest_texture()
    }

    fn create_buffer(
        &self,
        bytes: usize,
        room: usize,
        id: Option<BufferId>,
    ) -> Result<(BufferId, IdleMemory), CreateBufferError> {
        self.device.create_buffer(bytes, room, id)
    }

    fn submit(
        &self,
        queue: QueueId,
        encoder: Option<EncoderIds>,
        copies: &[ReadbackCopy],
    ) -> Result<Submission, SubmitError> {
        let interrupt = self.interrupt.lock().take();
        if let Some(interrupt) = interrupt {
            interrupt();
        }
        self.device.submit(queue, encoder, copies)
    }

    fn wait(&self, index: SubmissionIndex, timeout: Duration) -> WaitResult {
        self.device.wait(index, timeout)
    }

    fn must_poll(&self) -> bool {
        self.device.must_poll()
    }
}

// The worst moments: while a copy is being submitted that takes a fresh buffer, or that of the youngest in flight, and that is
// accepted, refused, or refused and perhaps running.
#[rstest]
fn an_owner_dies_in_the_middle_of_a_submission(#[values(Owned, Portable)] memory: FrameMemoryKind) {
    let refusals = [None, Some(false), Some(true)];
    for (in_flight, refusal) in [0, 2].into_iter().flat_map(|n| refusals.map(|refusal| (n, refusal))) {
        let (gpu, map, recorder) = (FakeGpu::new(memory), ContextMap::default(), Recorder::default());
        let interrupt = Arc::new(Mutex::new(None));
        let interrupted = Interrupted { gpu: gpu.clone(), interrupt: interrupt.clone() };
        let (outcomes, ids) = (recorder.clone(), recorder.clone());
        let options = PresenterOptions {
            on_outcome: Arc::new(move |outcome| outcomes.outcome(outcome)),
            on_id: Arc::new(move |id| ids.id(id)),
            wake: Arc::new(|| ()),
            frame_memory: memory,
            ..PresenterOptions::default()
        };
        let sink = Arc::new(recorder.clone());
        let mut presenter = Presenter::with_gpu(Arc::new(interrupted), &map, sink, options);
        let id = create(&mut presenter, 10, PAGE);
        for _ in 0..in_flight {
            present(&gpu, &mut presenter, id, RED).unwrap();
        }
        if let Some(may_be_in_flight) = refusal {
            gpu.fail_next_submit(PresentError::DeviceLost, may_be_in_flight);
        }
        *interrupt.lock() = Some(Box::new({
            let map = map.clone();
            move || assert_eq!(map.destroy_owner(PAGE), 1)
        }));
        let texture = pending(gpu.texture(device(0), GREEN, None), 0, size(4, 2));
        let texture = with_ids(texture, fake::encoder_ids(1));
        let last = presenter.present(id, Contents::Texture(texture), CanvasEpoch(5)).unwrap();
        assert_eq!(last, in_flight + 1);
        for sequence in 1..=last {
            recorder.until("it ends", |record| record.outcomes.contains_key(&(id, sequence)));
            let ends = recorder.get(|record| record.outcomes[&(id, sequence)].clone());
            let [PresentEnd::Failed(_) | PresentEnd::Superseded] = &ends[..] else { panic!("{ends:?}") };
        }
        assert_deleted_last(&recorder, 10);
        presenter.maintain();
        gpu.finish(device(0));
        assert_each_once(&recorder, 3 + 2);
        assert_eq!(gpu.buffers(), 0);
        // And the next of this id is as good as new.
        presenter.create_context(id, descriptor(PAGE)).unwrap();
        drop(presenter);
    }
}

#[rstest]
fn a_capture_whose_owner_dies_in_its_submission_is_answered(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let (gpu, map) = (FakeGpu::new(memory), ContextMap::default());
    let interrupt = Arc::new(Mutex::new(None));
    let interrupted = Interrupted { gpu: gpu.clone(), interrupt: interrupt.clone() };
    let sink = Arc::new(Recorder::default());
    let mut presenter = Presenter::with_gpu(Arc::new(interrupted), &map, sink, PresenterOptions::default());
    let id = create(&mut presenter, 10, PAGE);
    *interrupt.lock() = Some(Box::new({
        let map = map.clone();
        move || assert_eq!(map.destroy_owner(PAGE), 1)
    }));
    let texture = pending(gpu.texture(device(0), GREEN, None), 0, size(4, 2));
    let (sender, answers) = std::sync::mpsc::channel();
    presenter.get_image(id, Some(texture), move |answer| sender.send(answer).expect("it is awaited"));
    let answer = answers.recv_timeout(TIMEOUT).expect("it is answered");
    assert!(matches!(answer, Err(GetImageError::UnknownContext(_))), "{answer:?}");
}

// D9: a submit can block, on lavapipe for as long as its device is busy.
#[rstest]
fn a_frame_is_shown_while_the_canvases_of_another_device_are_being_submitted(
    #[values(Owned, Portable)] memory: FrameMemoryKind,
) {
    let (gpu, map, recorder) = (FakeGpu::new(memory), ContextMap::default(), Recorder::default());
    let interrupt: Interrupt = Arc::default();
    let interrupted = Interrupted { gpu: gpu.clone(), interrupt: interrupt.clone() };
    let outcomes = recorder.clone();
    let options = PresenterOptions {
        on_outcome: Arc::new(move |outcome| outcomes.outcome(outcome)),
        frame_memory: memory,
        ..PresenterOptions::default()
    };
    let sink = Arc::new(recorder.clone());
    let mut presenter = Presenter::with_gpu(Arc::new(interrupted), &map, sink, options);
    let (first, second) = (create(&mut presenter, 10, PAGE), create(&mut presenter, 11, PAGE));
    *interrupt.lock() = Some(Box::new({
        let (gpu, interrupt) = (gpu.clone(), interrupt.clone());
        move || {
            // In the middle of the second submission.
            *interrupt.lock() = Some(Box::new(move || {
                gpu.finish(device(0));
                recorder.until("the first is shown", |record| record.outcomes.contains_key(&(first, 1)));
            }));
        }
    }));
    let mut batch = presenter.batch();
    for (id, device) in [(first, 0), (second, 1)] {
        let texture = pending(gpu.texture(fake::device(device), GREEN, None), device, size(4, 2));
        batch.present(id, Contents::Texture(texture), CanvasEpoch(1)).unwrap();
    }
    batch.submit();
    assert!(interrupt.lock().is_none());
}
