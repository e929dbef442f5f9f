//! A presenter on real wgpu-core, and a renderer that reads like WebRender: with owned and with portable frame memory on Vulkan with
//! validation on, and on GL where there is one. What real parts do not do on command is forced in `src/tests`.
#![allow(clippy::duplicate_mod, reason = "each file is there for either kind of memory")]

mod support;

macro_rules! on {
    ($name:ident: $kind:ident, $gpu:ident $(, mod $more:ident)*) => {
        #[path = "presenting"]
        mod $name {
            use crate::support::gpu::Gpu;
            use webgpu_presentation::FrameMemoryKind;

            const MEMORY: FrameMemoryKind = FrameMemoryKind::$kind;

            fn gpu() -> Option<Gpu> {
                Gpu::$gpu()
            }

            mod engine;
            mod faults;
            mod frames;
            mod moments;
            mod world;
            $(mod $more;)*
        }
    };
}

// On GL no view has another format.
on!(owned: Owned, for_test, mod views);
on!(portable: Portable, for_test, mod views);
#[cfg(feature = "gles")]
on!(gles: Portable, gles_for_test);
