//! Random engines, pages and renderers around a real presenter, and rules that everything they see is held against.
//!
//! - `choices`: where randomness comes from, a seed or a fuzzer;
//! - `script`: the messages of hostile pages;
//! - `picture`: what textures hold: a number, so that a torn, stale or foreign frame shows;
//! - `ledger`: what was told by whom; it knows the rules, and collects the faults;
//! - `renderer`: reads like WebRender, every byte;
//! - `engine`: the WebGPU thread;
//! - `run`: a script's thread, the engine and two renderers together.
//!
//! A fault ends nothing: it is noted (callbacks that panic would only be logged), and told with the seed in the end.

pub mod choices;
pub mod engine;
pub mod ledger;
pub mod picture;
pub mod renderer;
pub mod run;
pub mod script;
