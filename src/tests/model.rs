//! Random histories of single parts, by the hundred thousand, judged by the oracle. Everything here is deterministic: no threads, no
//! time.

mod conformance;
mod generations;
mod machine;
mod offers;
mod superseding;
