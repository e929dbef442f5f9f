//! A script process: a page that draws its canvases when the engine tells it to.

use std::collections::HashSet;

use ipc_channel::IpcError;
use ipc_channel::ipc::{self, IpcReceiver, IpcSender};

use crate::cast::{CANVASES, Canvas};
use crate::error::EngineError;
use crate::protocol::{Event, Hello, Image, Request, TextureName};

struct Script {
    page: u32,
    requests: IpcSender<Request>,
    textures: u32,
}

/// Runs a page until it is closed. `server` names the channel on which the engine waits for the page.
pub fn run(server: String, page: u32) -> Result<(), EngineError> {
    let (requests, from_script) = ipc::channel()?;
    let (to_script, events) = ipc::channel()?;
    IpcSender::connect(server)?.send(Hello { requests: from_script, events: to_script })?;
    match (Script { page, requests, textures: 0 }).live(&events) {
        // The engine has ended, and this process ends with it.
        Err(EngineError::Ipc(IpcError::Disconnected | IpcError::Io(_))) => Ok(()),
        ended => ended,
    }
}

impl Script {
    fn live(&mut self, events: &IpcReceiver<Event>) -> Result<(), EngineError> {
        let devices: HashSet<_> = self.canvases().map(|canvas| canvas.device).collect();
        devices.into_iter().try_for_each(|device| self.requests.send(Request::CreateDevice(device)))?;
        for canvas in self.canvases() {
            self.requests.send(Request::CreateContext(canvas.name, canvas.size))?;
        }
        loop {
            match events.recv()? {
                Event::Frame(epoch) => self.frame(epoch)?,
                Event::Race(first) => {
                    for epoch in first.. {
                        self.frame(epoch)?;
                        // Nothing tells script how far ahead of the engine it is.
                        std::thread::sleep(std::time::Duration::from_millis(1));
                    }
                }
                Event::Read(epoch, answer) => answer.send(self.read(epoch)?)?,
                Event::DestroyDevice(device) => self.requests.send(Request::DestroyDevice(device))?,
                Event::Close => return Ok(()),
            }
        }
    }

    fn canvases(&self) -> impl Iterator<Item = &'static Canvas> + use<> {
        let page = self.page;
        CANVASES.iter().filter(move |canvas| canvas.page == page)
    }

    /// Draws all canvases, then presents them, so that their presents reach the engine together.
    fn frame(&mut self, epoch: u64) -> Result<(), EngineError> {
        let mut drawn = Vec::new();
        for canvas in self.canvases() {
            drawn.push((canvas.name, self.draw(canvas, epoch)?));
        }
        for (canvas, texture) in drawn {
            self.requests.send(Request::Present(canvas, texture, epoch))?;
            self.requests.send(Request::DestroyTexture(texture))?;
        }
        Ok(())
    }

    fn draw(&mut self, canvas: &Canvas, epoch: u64) -> Result<TextureName, EngineError> {
        let picture = canvas.picture(epoch);
        self.textures += 1;
        let texture = TextureName(self.textures);
        let &Canvas { name, device, size, is_opaque, .. } = canvas;
        self.requests.send(Request::CreateTexture { texture, canvas: name, device, size, is_opaque })?;
        self.requests.send(Request::Clear(texture, picture.background.map(|c| f64::from(c) / 255.0)))?;
        let [r, g, b, a] = picture.square;
        let pixels = [b, g, r, a].repeat((picture.side * picture.side) as usize);
        let (corner, side) = (picture.corner, picture.side);
        self.requests.send(Request::Write { texture, corner, side, pixels })?;
        Ok(texture)
    }

    /// Reads all canvases, and says of which the pixels are not those of this epoch.
    fn read(&self, epoch: u64) -> Result<Vec<String>, EngineError> {
        let mut wrong = Vec::new();
        for canvas in self.canvases() {
            let (reply, image) = ipc::channel()?;
            self.requests.send(Request::GetImage(canvas.name, reply))?;
            match image.recv()? {
                Some(image) if is_right(canvas, epoch, &image) => {}
                Some(_) => wrong.push(format!("{:?} has other pixels", canvas.name)),
                None => wrong.push(format!("{:?} cannot be read", canvas.name)),
            }
        }
        Ok(wrong)
    }
}

fn is_right(canvas: &Canvas, epoch: u64, image: &Image) -> bool {
    let straight = |color: u8, alpha: u8| {
        let [color, alpha] = [color, alpha].map(u32::from);
        ((color * 510 + alpha) / (alpha * 2)) as u8
    };
    let expected = canvas.picture(epoch);
    let expected = expected.pixels(canvas.size);
    let expected = expected.map(|[r, g, b, a]| [straight(r, a), straight(g, a), straight(b, a), a]);
    image.size == canvas.size && expected.eq(image.pixels.as_chunks::<4>().0.iter().copied())
}
