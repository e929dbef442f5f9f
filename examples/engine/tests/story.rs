//! The example runs to its end, says so, and leaves a picture.

use std::io::{BufReader, Write};
use std::path::Path;
use std::process::Command;

#[test]
fn each_step_of_the_story_is_right() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("engine.png");
    let output = Command::new(env!("CARGO_BIN_EXE_engine")).arg(&path).output().expect("the example starts");
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(2) {
        assert!(std::env::var_os("WEBGPU_PRESENTATION_REQUIRE_ADAPTER").is_none(), "{errors}");
        // The line goes past the test harness, which hides what passing tests print.
        let _ = writeln!(std::io::stderr(), "SKIPPED: the engine, there is no Vulkan adapter");
        return;
    }
    assert!(output.status.success(), "{told}{errors}");
    let steps: Vec<_> = told.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(steps, ["adapter", "draw", "present", "read", "destroy", "kill", "reopen", "close"]);
    // Other adapters draw in memory of their own, so all frames are copied.
    if told.lines().next().is_some_and(|adapter| adapter.ends_with(", Cpu")) {
        let direct = told.lines().find_map(|line| line.strip_prefix("present ")?.split_whitespace().next());
        let direct: u64 = direct.expect("a number").parse().expect("a number");
        assert!(direct > 0, "{told}");
    }

    let file = std::fs::File::open(&path).expect("there is a picture");
    let mut reader = png::Decoder::new(BufReader::new(file)).read_info().expect("it is a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("it is small")];
    let info = reader.next_frame(&mut pixels).expect("it is whole");
    assert_eq!((info.width, info.height), (480, 320));
    let pixel = |x: usize, y: usize| <[u8; 4]>::try_from(&pixels[(y * 480 + x) * 4..][..4]).unwrap();
    assert_eq!(pixel(5, 5), [238, 232, 213, 255], "the backdrop");
    assert_eq!(pixel(84, 236), [0, 0, 0, 255], "the canvas whose device was destroyed");
    // The page that was killed and opened again.
    assert_ne!(pixel(420, 280), pixel(5, 5));
}
