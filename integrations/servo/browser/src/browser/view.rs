//! One open page: its requests, and what was found out about it.
//!
//! Servo tells [`Page`] what happens, in the middle of its own work: frames are painted there and watched pixels looked at, and
//! messages are only kept. [`View::serve`] does what they ask for afterwards, and answers.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;

use servo::{
    ConsoleLogLevel, DeviceIntPoint, DeviceIntRect, DeviceIntSize, RenderingContext, RgbaImage, Servo,
    SoftwareRenderingContext, WebView, WebViewBuilder, WebViewDelegate,
};
use url::Url;

use servo_browser::protocol::{Message, Pixel, alike, hex};
use servo_browser::report::{Check, Outcome, Place, Rate, Report, Screenshot};

/// The most lines of the console that a report has.
const MAX_CONSOLE: usize = 40;

/// A page in a view of its own.
pub(crate) struct View {
    web_view: WebView,
    page: Rc<Page>,
}

/// What is known of a page. Accessed only on the thread of the event loop.
struct Page {
    context: Rc<SoftwareRenderingContext>,
    out: PathBuf,
    messages: RefCell<VecDeque<Message>>,
    watches: RefCell<Vec<Watch>>,
    found: RefCell<Report>,
    outcome: RefCell<Option<Outcome>>,
    /// Screenshots that were asked for and not taken yet.
    awaited: Cell<usize>,
}

/// A pixel that is looked at in each frame.
struct Watch {
    label: String,
    x: u32,
    y: u32,
    colors: Vec<[u8; 3]>,
    tolerance: u8,
    limit: Option<String>,
    frames: usize,
    /// The number of the first frame that was wrong, and its color.
    wrong: Option<(usize, [u8; 3])>,
    wrong_frames: usize,
}

impl View {
    /// Begins to load the page.
    pub(crate) fn new(servo: &Servo, context: Rc<SoftwareRenderingContext>, url: Url, out: PathBuf) -> Self {
        let page = Rc::new(Page {
            context: context.clone(),
            out,
            messages: RefCell::default(),
            watches: RefCell::default(),
            found: RefCell::new(Report::of_outcome(Outcome::TimedOut, 0.0)),
            outcome: RefCell::default(),
            awaited: Cell::new(0),
        });
        let web_view = WebViewBuilder::new(servo, context).delegate(page.clone()).url(url).build();
        Self { web_view, page }
    }

    /// Does what the page asked for since the last call.
    pub(crate) fn serve(&self) {
        loop {
            // The borrow ends here: what follows may call back into the page.
            let next = self.page.messages.borrow_mut().pop_front();
            match next {
                Some(message) => self.answer(message),
                None => return,
            }
        }
    }

    /// Returns how the page ended, if it did.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.page.outcome.borrow().clone()
    }

    /// Writes what was found out into the report. Watches that the page did not end are ended.
    pub(crate) fn finish(&self, report: &mut Report) {
        for watch in self.page.watches.take() {
            self.page.check(watch.conclude());
        }
        if self.page.awaited.get() > 0 {
            self.page.check(failed(
                "every screenshot is taken",
                format!("{} are missing", self.page.awaited.get()),
            ));
        }
        let found = self.page.found.borrow();
        report.checks = found.checks.clone();
        report.rates = found.rates.clone();
        report.skipped = found.skipped.clone();
        report.screenshots = found.screenshots.clone();
        report.console = found.console.clone();
    }

    fn answer(&self, message: Message) {
        match message {
            Message::Screenshot { id, name, pixels } => self.take_screenshot(id, name, pixels),
            Message::Watch { id, label, x, y, colors, tolerance, limit } => {
                self.page.watches.borrow_mut().push(Watch {
                    label,
                    x,
                    y,
                    colors,
                    tolerance,
                    limit,
                    frames: 0,
                    wrong: None,
                    wrong_frames: 0,
                });
                reply(&self.web_view, id);
            }
            Message::Unwatch { id, label } => {
                let ended = {
                    let mut watches = self.page.watches.borrow_mut();
                    watches.iter().position(|watch| watch.label == label).map(|index| watches.remove(index))
                };
                self.page.check(match ended {
                    Some(watch) => watch.conclude(),
                    None => failed(&label, "nothing of this name was watched".into()),
                });
                reply(&self.web_view, id);
            }
            Message::Reload { id } => {
                self.web_view.reload();
                reply(&self.web_view, id);
            }
            Message::Check { label, ok, detail, limit } => {
                self.page.check(Check { label, passed: ok, detail, limit, place: None });
            }
            Message::Rate { label, frames_per_second } => {
                self.page.found.borrow_mut().rates.push(Rate { label, frames_per_second });
            }
            Message::Skip { reason } => self.page.found.borrow_mut().skipped.push(reason),
            Message::Done => *self.page.outcome.borrow_mut() = Some(Outcome::Done),
        }
    }

    fn take_screenshot(&self, id: u64, name: String, pixels: Vec<Pixel>) {
        let (page, web_view) = (self.page.clone(), self.web_view.clone());
        page.awaited.set(page.awaited.get() + 1);
        self.web_view.take_screenshot(None, move |result| {
            page.awaited.set(page.awaited.get() - 1);
            match result {
                Ok(image) => page.look_at(name, &pixels, &image),
                Err(error) => page.check(failed(&format!("screenshot {name}"), format!("{error:?}"))),
            }
            reply(&web_view, id);
        });
    }
}

/// Tells the page that its request was done.
fn reply(web_view: &WebView, id: u64) {
    web_view.evaluate_javascript(format!("window.suite && suite.answer({id})"), |_| ());
}

fn failed(label: &str, detail: String) -> Check {
    Check { label: label.to_owned(), passed: false, detail, limit: None, place: None }
}

impl Page {
    fn check(&self, check: Check) {
        self.found.borrow_mut().checks.push(check);
    }

    fn note(&self, line: String) {
        let mut found = self.found.borrow_mut();
        if found.console.len() < MAX_CONSOLE {
            found.console.push(line);
        }
    }

    /// Compares the pixels with what they must be, and keeps the screenshot.
    fn look_at(&self, name: String, pixels: &[Pixel], image: &RgbaImage) {
        let file = self.out.join(format!("{name}.png"));
        match image.save(&file) {
            Ok(()) => {
                self.found.borrow_mut().screenshots.push(Screenshot { name: name.clone(), file });
            }
            Err(error) => self.check(failed(&format!("screenshot {name}"), error.to_string())),
        }
        for pixel in pixels {
            let seen = match (u32::try_from(pixel.x), u32::try_from(pixel.y)) {
                (Ok(x), Ok(y)) => image.get_pixel_checked(x, y),
                _ => None,
            };
            let (passed, detail) = match seen {
                Some(&image::Rgba([r, g, b, _])) => {
                    let seen = [r, g, b];
                    let detail = format!("{}, right is {}", hex(seen), hex(pixel.color));
                    (alike(seen, pixel.color, pixel.tolerance), detail)
                }
                None => (false, format!("{}, {} is outside of the viewport", pixel.x, pixel.y)),
            };
            let place = Some(Place { screenshot: name.clone(), x: pixel.x, y: pixel.y });
            let limit = pixel.limit.clone();
            self.check(Check { label: pixel.label.clone(), passed, detail, limit, place });
        }
    }

    /// Returns the color of a pixel of the frame that was just painted.
    fn painted(&self, x: u32, y: u32) -> Option<[u8; 3]> {
        // OpenGL counts rows from below.
        let row = self.context.size().height.checked_sub(y + 1)?;
        let at = DeviceIntPoint::new(i32::try_from(x).ok()?, i32::try_from(row).ok()?);
        let rectangle = DeviceIntRect::from_origin_and_size(at, DeviceIntSize::new(1, 1));
        let image = self.context.read_to_image(rectangle)?;
        let &image::Rgba([r, g, b, _]) = image.get_pixel_checked(0, 0)?;
        Some([r, g, b])
    }
}

impl Watch {
    fn look(&mut self, seen: Option<[u8; 3]>) {
        let Some(seen) = seen else { return };
        self.frames += 1;
        if !self.colors.iter().any(|&right| alike(seen, right, self.tolerance)) {
            self.wrong_frames += 1;
            self.wrong.get_or_insert((self.frames, seen));
        }
    }

    fn conclude(self) -> Check {
        let colors: Vec<_> = self.colors.iter().copied().map(hex).collect();
        let detail = match self.wrong {
            _ if self.frames == 0 => "no frame was painted".to_owned(),
            None => format!("right in {} frames", self.frames),
            Some((first, seen)) => format!(
                "{} of {} frames were wrong, the first of them frame {first} with {}; right is {}",
                self.wrong_frames,
                self.frames,
                hex(seen),
                colors.join(" or "),
            ),
        };
        let passed = self.frames > 0 && self.wrong.is_none();
        Check { label: self.label, passed, detail, limit: self.limit, place: None }
    }
}

impl WebViewDelegate for Page {
    fn notify_new_frame_ready(&self, web_view: WebView) {
        // Takes screenshots as well, so that nothing may be borrowed.
        web_view.paint();
        for watch in &mut *self.watches.borrow_mut() {
            watch.look(self.painted(watch.x, watch.y));
        }
        self.context.present();
    }

    fn show_console_message(&self, _: WebView, level: ConsoleLogLevel, said: String) {
        match Message::parse(&said) {
            Some(Ok(message)) => self.messages.borrow_mut().push_back(message),
            Some(Err(error)) => self.check(failed("messages of the page", format!("{error}: {said}"))),
            None => self.note(format!("{level:?}: {said}")),
        }
    }

    fn notify_crashed(&self, _: WebView, reason: String, _: Option<String>) {
        *self.outcome.borrow_mut() = Some(Outcome::Crashed(reason));
    }
}
