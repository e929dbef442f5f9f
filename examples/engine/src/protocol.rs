//! What the processes say to each other.
//!
//! Script names what it makes, and the engine keeps a table of names for each page. So a page that is broken or hostile can name
//! nothing of another page, and no id of wgpu-core that is not alive: wgpu-core panics at those.

use ipc_channel::ipc::{IpcReceiver, IpcSender, IpcSharedMemory};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeviceName(pub u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TextureName(pub u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CanvasName(pub u32);

/// The first message of a script process: its ends of two channels.
#[derive(Serialize, Deserialize)]
pub struct Hello {
    /// Closes when the process ends, however it ends.
    pub requests: IpcReceiver<Request>,
    pub events: IpcSender<Event>,
}

/// What script asks of the WebGPU thread. The requests of a page are served in order.
#[derive(Serialize, Deserialize)]
pub enum Request {
    CreateDevice(DeviceName),
    /// Creates the context of a canvas of this width and height.
    CreateContext(CanvasName, [u32; 2]),
    /// Creates a BGRA texture for a canvas.
    CreateTexture {
        texture: TextureName,
        canvas: CanvasName,
        device: DeviceName,
        size: [u32; 2],
        is_opaque: bool,
    },
    /// Clears a texture in a render pass.
    Clear(TextureName, [f64; 4]),
    /// Writes BGRA pixels to a square of a texture.
    Write {
        texture: TextureName,
        corner: [u32; 2],
        side: u32,
        pixels: Vec<u8>,
    },
    /// Presents a texture with a canvas epoch.
    Present(CanvasName, TextureName, u64),
    DestroyTexture(TextureName),
    /// Asks for what a canvas shows.
    GetImage(CanvasName, IpcSender<Option<Image>>),
    DestroyDevice(DeviceName),
}

/// RGBA pixels with straight alpha, row after row, as `ImageData` has them.
#[derive(Serialize, Deserialize)]
pub struct Image {
    pub size: [u32; 2],
    pub pixels: IpcSharedMemory,
}

/// What happens to a page.
#[derive(Serialize, Deserialize)]
pub enum Event {
    /// The rendering is updated. Canvases are presented with this epoch.
    Frame(u64),
    /// The page draws frames, beginning with this epoch, as fast as it can, and hears no further event.
    Race(u64),
    /// The page reads each of its canvases, which must show what was drawn in the frame of this epoch. It answers with what is wrong.
    Read(u64, IpcSender<Vec<String>>),
    /// The page destroys a device.
    DestroyDevice(DeviceName),
    /// The page is closed.
    Close,
}
