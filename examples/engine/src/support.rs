//! WebRender without a display, which the example shares with the library's tests.
#![allow(dead_code, reason = "the library's tests need more of this file")]

#[path = "../../../tests/support/page.rs"]
pub mod page;
