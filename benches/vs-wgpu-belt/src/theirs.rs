//! wgpu's `StagingBelt`, with chunks that hold a whole frame.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wgpu::util::StagingBelt;

use crate::Side;
use crate::cases::Case;

pub struct Theirs {
    device: wgpu::Device,
    queue: wgpu::Queue,
    belt: StagingBelt,
    targets: Vec<wgpu::Buffer>,
}

impl Theirs {
    pub fn new(case: &Case) -> Self {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::VULKAN;
        descriptor.flags = wgpu::InstanceFlags::empty();
        let instance = wgpu::Instance::new(descriptor);
        let adapter = ready(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))
            .expect("there is a Vulkan adapter");
        let (device, queue) = ready(adapter.request_device(&wgpu::DeviceDescriptor::default()))
            .expect("the adapter gives a device");
        let target = wgpu::BufferDescriptor {
            label: None,
            size: case.buffer_size(),
            usage: wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        let targets = (0..case.buffers).map(|_| device.create_buffer(&target)).collect();
        // wgpu aligns each write to 8 bytes. The writes of all cases have that alignment.
        let belt = StagingBelt::new(device.clone(), case.bytes() as u64);
        Self { device, queue, belt, targets }
    }
}

/// Returns the output of a future that is ready at once, which those of native wgpu are.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("native futures of wgpu are ready"),
    }
}

impl Side for Theirs {
    fn name(&self) -> &'static str {
        "wgpu"
    }

    fn frame(&mut self, case: &Case, data: &[u8]) {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        for (buffer, offset, data) in case.writes(data) {
            let size = wgpu::BufferSize::new(data.len() as u64).expect("no write is empty");
            self.belt.write_buffer(&mut encoder, &self.targets[buffer], offset, size).copy_from_slice(data);
        }
        self.belt.finish();
        self.queue.submit([encoder.finish()]);
        self.belt.recall();
        self.device.poll(wgpu::PollType::wait_indefinitely()).expect("the device is alive");
    }
}
