//! Behaviour on the fake GPU, which completes, fails and loses on command: all of it with both kinds of frame memory. The same on
//! real parts: `tests/`.
#![allow(clippy::duplicate_mod, reason = "each file is there for either kind of memory")]

macro_rules! with_memory {
    ($name:ident: $kind:ident $(, mod $more:ident)*) => {
        #[path = "tests"]
        mod $name {
            const MEMORY: crate::FrameMemoryKind = crate::FrameMemoryKind::$kind;

            mod contract;
            mod faults;
            mod ids;
            mod interrupted;
            mod lingering;
            mod maintenance;
            mod memory;
            mod order;
            mod owners;
            mod pace;
            mod pixels;
            mod polling;
            mod properties;
            mod recycling;
            mod renderers;
            mod resizing;
            mod threads;
            mod waiting;
            mod world;
            $(mod $more;)*
        }
    };
}

#[path = "../tests/support/chaos/mod.rs"]
mod chaos;
mod conversions;
mod fake_parts;
#[path = "../tests/support/oracle/mod.rs"]
mod oracle;
mod scripts;
#[cfg(loom)]
mod loom;

// The model has no memory.
with_memory!(owned: Owned, mod model);
with_memory!(portable: Portable);
