//! An engine in small: script in processes of its own, WebGPU and WebRender in another, joined by `ipc-channel`.
//!
//! `engine [PICTURE.png]` tells a story of two pages, each in a process: they draw and are read, a device is destroyed, a process is
//! killed, and its page comes back. Each step is checked with pixels. The exit status is 0; 1 if a check failed; or 2 if there is
//! no Vulkan adapter to draw with. The picture of the window, `target/engine.png` if no other is named, is taken near the end.
//!
//! - `protocol`: what the processes say to each other;
//! - `script`: a page, in a process of its own;
//! - `webgpu`: the WebGPU thread, with the presenter;
//! - `process`, `engine`: the engine's main thread, with the renderer;
//! - `cast`: what the pages draw, and what must be seen.

mod cast;
mod engine;
mod error;
mod process;
mod protocol;
mod script;
mod support;
mod webgpu;

use std::path::Path;
use std::process::ExitCode;

use webgpu_presentation::{Awaited, OwnerId, PresentError};

use crate::cast::{CANVASES, WINDOW};
use crate::engine::Engine;
use crate::engine::Shows::{self, Blank, Epoch, Nothing};
use crate::error::EngineError;
use crate::protocol::{DeviceName, Event};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let end = match (arguments.as_slice(), arguments.get(2).and_then(|page| page.parse().ok())) {
        // The engine starts script processes so.
        (["script", server, _], Some(page)) => script::run((*server).into(), page),
        ([], _) => tell_story(Path::new("target/engine.png")),
        ([picture], _) => tell_story(Path::new(picture)),
        _ => Err(EngineError::Arguments),
    };
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if matches!(error, EngineError::NoAdapter) { 2 } else { 1 })
        }
    }
}

/// Frames that both pages draw before anything happens.
const FRAMES: u64 = 30;

fn tell_story(picture: &Path) -> Result<(), EngineError> {
    let mut engine = Engine::new()?;
    println!("adapter  {}", engine.adapter);
    let alice = engine.open(0)?;
    let bob = engine.open(1)?;

    for epoch in 1..=FRAMES {
        engine.frame(epoch, &[(0, &alice), (1, &bob)])?;
        engine.check([Epoch(epoch); 4])?;
    }
    println!("draw     2 processes, {} canvases, {FRAMES} frames: each shows its epoch", CANVASES.len());
    let [direct, copied] = engine.direct_and_copied()?;
    println!("present  {direct} frames directly, {copied} copied");

    for process in [&alice, &bob] {
        engine.read(process, FRAMES)?;
    }
    println!("read     {} images, copied once, into memory shared with script", CANVASES.len());

    alice.send(Event::DestroyDevice(DeviceName(1)))?;
    // The page's next request is served after the destruction.
    engine.read(&alice, FRAMES)?;
    engine.check([Epoch(FRAMES); 4])?;
    let mut epoch = FRAMES + 1;
    let ends = engine.frame(epoch, &[(0, &alice), (1, &bob)])?;
    let failed = |end: &&Awaited| matches!(end, Awaited::Failed(PresentError::DeviceLost));
    if ends.values().filter(failed).count() != 1 {
        return Err(EngineError::Wrong(format!("not one present has failed: {ends:?}")));
    }
    engine.check([Epoch(epoch), Epoch(epoch), Blank, Epoch(epoch)])?;
    println!("destroy  a device: its last frame stays, what is drawn afterwards is blank");

    bob.send(Event::Race(epoch + 1))?;
    engine.presented(&CANVASES[3], epoch + 20)?;
    bob.kill()?;
    let owner = engine.clean_up()?;
    let usage = engine.wait_for_usage(|usage| {
        let [devices, queues, _, textures, views] = usage.hub;
        usage.memory.iter().all(|report| report.owner != owner)
            && [devices, queues, textures, views] == [2, 2, 0, 0]
    })?;
    let shows = |epoch, page: Shows| [Epoch(epoch), Epoch(epoch), Blank, page];
    for _ in 0..FRAMES {
        epoch += 1;
        engine.frame(epoch, &[(0, &alice)])?;
        engine.check(shows(epoch, Nothing))?;
    }
    let kept: usize = usage.memory.iter().map(|report| report.bytes).sum();
    println!(
        "kill     a process while it draws: all it had comes back, the other page keeps {kept} bytes and goes on"
    );

    let bob = engine.open(1)?;
    epoch += 1;
    engine.frame(epoch, &[(0, &alice), (1, &bob)])?;
    engine.check(shows(epoch, Epoch(epoch)))?;
    write_picture(picture, &engine.pixels())?;
    println!("reopen   the page, in a new process, with the same ids: {}", picture.display());

    alice.close()?;
    bob.close()?;
    let mut owners = [engine.clean_up()?, engine.clean_up()?];
    owners.sort();
    if owners != [OwnerId(0), OwnerId(1)] {
        return Err(EngineError::Wrong(format!("{owners:?} have ended")));
    }
    engine.wait_for_usage(|usage| usage.memory.is_empty() && usage.hub == [0; 5])?;
    println!("close    both pages: nothing is left of them");
    Ok(())
}

fn write_picture(path: &Path, rgba: &[u8]) -> Result<(), EngineError> {
    let [width, height] = WINDOW;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut encoder = png::Encoder::new(std::fs::File::create(path)?, width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(rgba)?;
    Ok(())
}
