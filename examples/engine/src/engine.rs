//! The engine's main thread: it composites the pages with WebRender, and knows which processes there are.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ipc_channel::ipc;
use webgpu_presentation::*;
use webrender_api::{ColorF, ImageKey};
use wgpu_core::global::Global;
use wgpu_types as wgt;

use crate::cast::{BACKDROP, CANVASES, Canvas, WINDOW};
use crate::error::EngineError;
use crate::process::{PATIENCE, Process};
use crate::protocol::Event;
use crate::support::page::{Item, Page, PageGl, rect};
use crate::webgpu::{Created, Message, Usage, WebGpu, context_id};

pub struct Engine {
    pub adapter: String,
    page: Page,
    map: ContextMap,
    webgpu: Sender<Message>,
    /// `None` once it has ended.
    thread: Option<JoinHandle<()>>,
    created: Receiver<Created>,
    gone: (Sender<OwnerId>, Receiver<OwnerId>),
    /// The images of the canvases that are displayed.
    keys: HashMap<ContextId, ImageKey>,
}

/// What a canvas is expected to show.
#[derive(Clone, Copy)]
pub enum Shows {
    /// The page has no such canvas.
    Nothing,
    /// The canvas is cleared.
    Blank,
    /// What script drew in the frame of this epoch.
    Epoch(u64),
}

impl Engine {
    pub fn new() -> Result<Self, EngineError> {
        let descriptor = wgt::InstanceDescriptor {
            backends: wgt::Backends::VULKAN,
            ..wgt::InstanceDescriptor::new_without_display_handle()
        };
        let backends = descriptor.backends;
        let global = Arc::new(Global::new("engine", descriptor, None));
        let adapter = global.request_adapter(&Default::default(), backends, None);
        let adapter = adapter.map_err(|_| EngineError::NoAdapter)?;
        let info = global.adapter_get_info(adapter);

        // The map is first. The renderer and the presenter, on their threads, meet in it.
        let map = ContextMap::default();
        let images = Box::new(ExternalImages::new(&map));
        let page = Page::new(PageGl::Swgl, WINDOW.into(), images).map_err(EngineError::Page)?;
        let (webgpu, messages) = channel();
        let (created, creations) = channel();
        let wake = webgpu.clone();
        let options = PresenterOptions {
            // The thread may have ended.
            wake: Arc::new(move || drop(wake.send(Message::Maintain))),
            ..PresenterOptions::default()
        };
        let sink = WebRenderSink::new(page.new_api(), page.document());
        let (api, contexts) = (page.new_api(), map.clone());
        let thread = std::thread::Builder::new().name("WebGPU".into()).spawn(move || {
            // A presenter stays on the thread that made it.
            // SAFETY: all calls that name buffers are made on this thread, by the presenter: pages cannot name one.
            let presenter = unsafe { Presenter::new(global.clone(), &contexts, sink, options) };
            let pages = HashMap::new();
            WebGpu { global, adapter, api, created, presenter, pages }.run(&messages);
        })?;
        let thread = Some(thread);
        let adapter = format!("{} ({}), {:?}", info.name, info.driver_info, info.device_type);
        let created = creations;
        Ok(Self { adapter, page, map, webgpu, thread, created, gone: channel(), keys: HashMap::new() })
    }

    /// Opens a page in a process of its own, and displays its canvases.
    pub fn open(&mut self, page: u32) -> Result<Process, EngineError> {
        let process = Process::start(page, self.webgpu.clone(), self.gone.0.clone())?;
        for _ in CANVASES.iter().filter(|canvas| canvas.page == page) {
            let created = self.created.recv_timeout(PATIENCE).map_err(|_| EngineError::Late("a canvas"))?;
            self.keys.insert(created.context, created.key);
        }
        self.lay_out();
        Ok(process)
    }

    fn lay_out(&mut self) {
        let [r, g, b] = BACKDROP.map(|color| f32::from(color) / 255.0);
        let [width, height] = WINDOW.map(|side| side as f32);
        let mut scene = vec![Item::Rect(rect(0.0, 0.0, width, height), ColorF::new(r, g, b, 1.0))];
        scene.extend(CANVASES.iter().filter_map(|canvas| {
            let ([x, y], [width, height]) = (canvas.corner, canvas.size);
            let bounds = rect(x as f32, y as f32, width as f32, height as f32);
            Some(Item::Image(bounds, *self.keys.get(&id(canvas))?))
        }));
        self.page.set_scene(&scene);
    }

    /// Lets pages draw a frame, and waits until each of their canvases has been presented. Returns the ends of the presents.
    pub fn frame(
        &self,
        epoch: u64,
        pages: &[(u32, &Process)],
    ) -> Result<HashMap<ContextId, Awaited>, EngineError> {
        let mut ends = HashMap::new();
        for (_, process) in pages {
            process.send(Event::Frame(epoch))?;
        }
        for canvas in CANVASES.iter().filter(|canvas| pages.iter().any(|(page, _)| *page == canvas.page)) {
            ends.insert(id(canvas), self.presented(canvas, epoch)?);
        }
        Ok(ends)
    }

    /// Waits for a present of a canvas with this epoch or a higher one.
    pub fn presented(&self, canvas: &Canvas, epoch: u64) -> Result<Awaited, EngineError> {
        let (tell, told) = channel();
        self.map.when_presented(id(canvas), CanvasEpoch(epoch), PATIENCE, move |end| drop(tell.send(end)));
        // The map answers in time, even if nothing is presented.
        match told.recv() {
            Ok(end) if !matches!(end, Awaited::TimedOut) => Ok(end),
            _ => Err(EngineError::Late("a present")),
        }
    }

    /// Lets a page read its canvases, which must show this epoch.
    pub fn read(&self, process: &Process, epoch: u64) -> Result<(), EngineError> {
        let (answer, answers) = ipc::channel()?;
        process.send(Event::Read(epoch, answer))?;
        let wrong: Vec<_> =
            answers.try_recv_timeout(PATIENCE).map_err(|_| EngineError::Late("what a page has read"))?;
        if wrong.is_empty() { Ok(()) } else { Err(EngineError::Wrong(wrong.join(", "))) }
    }

    /// Renders, and compares each pixel of the window with what the canvases are expected to show.
    pub fn check(&mut self, shows: [Shows; CANVASES.len()]) -> Result<(), EngineError> {
        let expected = expected(shows);
        let wrong = self.pixels().iter().zip(&expected).position(|(got, expected)| got != expected);
        wrong.map_or(Ok(()), |byte| {
            let [x, y] = [byte / 4 % WINDOW[0] as usize, byte / 4 / WINDOW[0] as usize];
            Err(EngineError::Wrong(format!("the pixel at {x}, {y}")))
        })
    }

    /// Renders, and returns the window as RGBA.
    pub fn pixels(&mut self) -> Vec<u8> {
        self.page.render();
        self.page.pixels()
    }

    /// Waits until the channel of a page is closed, and gives back what it had. Returns the page's owner id, which can be used again.
    pub fn clean_up(&mut self) -> Result<OwnerId, EngineError> {
        let (_, gone) = &self.gone;
        let owner = gone.recv_timeout(PATIENCE).map_err(|_| EngineError::Late("the end of a page"))?;
        // The canvases leave the display list before their images are deleted.
        let ended = CANVASES.iter().filter(|canvas| OwnerId(canvas.page.into()) == owner).map(id);
        for context in ended {
            self.keys.remove(&context);
        }
        self.lay_out();
        self.page.render();
        self.tell(Message::EndPage(owner))?;
        Ok(owner)
    }

    /// Waits until what is held is as little as `is_enough` says.
    pub fn wait_for_usage(&self, is_enough: impl Fn(&Usage) -> bool) -> Result<Usage, EngineError> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let (reply, usage) = channel();
            self.tell(Message::Report(reply))?;
            let usage = usage.recv().map_err(|_| EngineError::Late("a report"))?;
            if is_enough(&usage) {
                return Ok(usage);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(EngineError::Late("memory or an id of a page"))
    }

    /// Returns how many presents of the displayed canvases became a frame without a copy, and how many were copied.
    pub fn direct_and_copied(&self) -> Result<[u64; 2], EngineError> {
        let (reply, counts) = channel();
        for context in self.keys.keys() {
            self.tell(Message::Count(*context, reply.clone()))?;
        }
        drop(reply);
        let add = |[direct, copied]: [u64; 2], one: Statistics| [direct + one.direct, copied + one.copied];
        Ok(counts.iter().fold([0, 0], add))
    }

    fn tell(&self, message: Message) -> Result<(), EngineError> {
        self.webgpu.send(message).map_err(|_| EngineError::Wrong("the WebGPU thread has ended".into()))
    }
}

impl Drop for Engine {
    /// Ends the WebGPU thread before the renderer goes: WebRender takes no messages afterwards.
    fn drop(&mut self) {
        // A thread that has panicked has said so, and takes no message.
        let _ = self.tell(Message::Exit);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn id(canvas: &Canvas) -> ContextId {
    context_id(OwnerId(canvas.page.into()), canvas.name)
}

/// Paints the window without WebGPU and WebRender.
fn expected(shows: [Shows; CANVASES.len()]) -> Vec<u8> {
    let [width, height] = WINDOW.map(|side| side as usize);
    let [r, g, b] = BACKDROP;
    let mut window = vec![[r, g, b, 255]; width * height];
    for (canvas, shows) in CANVASES.iter().zip(shows) {
        let pixels: Vec<_> = match shows {
            Shows::Nothing => continue,
            Shows::Blank => {
                let blank = if canvas.is_opaque { [0, 0, 0, 255] } else { [0; 4] };
                vec![blank; (canvas.size[0] * canvas.size[1]) as usize]
            }
            Shows::Epoch(epoch) => canvas.picture(epoch).pixels(canvas.size).collect(),
        };
        let ([x, y], columns) = (canvas.corner.map(|at| at as usize), canvas.size[0] as usize);
        for (row, pixels) in pixels.chunks_exact(columns).enumerate() {
            let start = (y + row) * width + x;
            for (under, &over) in window[start..start + columns].iter_mut().zip(pixels) {
                let [r, g, b, _] = *under;
                let [r, g, b] = PageGl::Swgl.blend(over, [r, g, b]);
                *under = [r, g, b, 255];
            }
        }
    }
    window.into_flattened()
}
