//! The window on an X server without a screen: what it shows is read from the server, and pointer events come from there.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    AtomEnum, BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ClientMessageEvent, ConfigureWindowAux,
    ConnectionExt as _, EventMask, ImageFormat, MOTION_NOTIFY_EVENT, Window,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

/// Longest wait for anything that is to be seen.
const PATIENCE: Duration = Duration::from_secs(30);

const BACKDROP: [u8; 3] = [41, 43, 51];
const RED: [u8; 3] = [214, 64, 69];
const GREEN: [u8; 3] = [38, 139, 110];
const BLUE: [u8; 3] = [55, 96, 190];

/// A process that is killed with the test.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Says that a test is left out, past the test harness, which hides what passing tests print; or fails, if nothing may be left out.
fn skip(why: &str) {
    assert!(std::env::var_os("WEBGPU_PRESENTATION_REQUIRE_ADAPTER").is_none(), "{why}");
    // It does not matter if standard error is closed.
    let _ = writeln!(std::io::stderr(), "SKIPPED: the window, {why}");
}

/// Starts an X server, and returns the name of its display. `None` if there is no server to start.
fn start_server() -> Option<(Guard, String)> {
    let arguments = ["-displayfd", "1", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"];
    let mut command = Command::new("Xvfb");
    let mut server = match command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skip("there is no Xvfb");
            return None;
        }
        server => Guard(server.expect("Xvfb starts")),
    };
    let mut number = String::new();
    let output = server.0.stdout.take().expect("it is piped");
    BufReader::new(output).read_line(&mut number).expect("Xvfb names its display");
    if number.is_empty() {
        skip("Xvfb does not start");
        return None;
    }
    Some((server, format!(":{}", number.trim())))
}

fn start_window(display: &str, arguments: &[&str], screenshot: &Path) -> Guard {
    let mut command = Command::new(env!("CARGO_BIN_EXE_window"));
    command.args(arguments).arg("--screenshot").arg(screenshot);
    let command = command.env("DISPLAY", display).env_remove("WAYLAND_DISPLAY");
    Guard(command.spawn().expect("the window starts"))
}

/// Whether the program has ended well. It has not if there is no adapter, and the test is skipped then.
fn has_run(status: ExitStatus) -> bool {
    if status.code() == Some(2) {
        skip("there is no Vulkan adapter");
        return false;
    }
    assert!(status.success(), "{status}");
    true
}

fn read_picture(path: &Path) -> (u32, u32, Vec<u8>) {
    let decoder =
        png::Decoder::new(BufReader::new(std::fs::File::open(path).expect("there is a screenshot")));
    let mut reader = decoder.read_info().expect("it is a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("it is small")];
    let info = reader.next_frame(&mut pixels).expect("it is whole");
    assert_eq!(info.color_type, png::ColorType::Rgb);
    (info.width, info.height, pixels)
}

/// The window as the X server sees it.
struct Screen {
    x: RustConnection,
    root: Window,
    window: Window,
}

impl Screen {
    /// Waits for the window. `None` if the program ends without one.
    fn new(display: &str, program: &mut Guard) -> Option<Self> {
        let (x, screen) = x11rb::connect(Some(display)).expect("the server answers");
        let root = x.setup().roots[screen].root;
        let mut screen = Self { x, root, window: root };
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = program.0.try_wait().expect("it is a child") {
                has_run(status);
                return None;
            }
            for window in screen.x.query_tree(root).unwrap().reply().unwrap().children {
                screen.window = window;
                if screen.title().starts_with("WebGPU canvases") {
                    return Some(screen);
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("there is no window");
    }

    fn title(&self) -> String {
        let cookie = self.x.get_property(false, self.window, AtomEnum::WM_NAME, AtomEnum::ANY, 0, 1024);
        let value = cookie.unwrap().reply().map(|title| title.value).unwrap_or_default();
        String::from_utf8_lossy(&value).into_owned()
    }

    fn pixel(&self, (px, py): (i16, i16)) -> Option<[u8; 3]> {
        let image = self.x.get_image(ImageFormat::Z_PIXMAP, self.window, px, py, 1, 1, !0).unwrap();
        let data = image.reply().ok()?.data;
        Some([data[2], data[1], data[0]])
    }

    fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < deadline, "{what} is not to be seen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn wait_for_pixels(&self, what: &str, expected: &[((i16, i16), [u8; 3])]) {
        self.wait_until(what, || expected.iter().all(|&(at, color)| self.pixel(at) == Some(color)));
    }

    fn fake(&self, event: u8, detail: u8, (px, py): (i16, i16)) {
        let corner = self.x.translate_coordinates(self.window, self.root, px, py).unwrap().reply().unwrap();
        let (px, py) = (corner.dst_x, corner.dst_y);
        self.x.xtest_fake_input(event, detail, 0, self.root, px, py, 0).unwrap().check().unwrap();
    }

    fn drag(&self, from: (i16, i16), to: (i16, i16)) {
        self.fake(MOTION_NOTIFY_EVENT, 0, from);
        self.fake(BUTTON_PRESS_EVENT, 1, from);
        let between = |a: i16, b: i16, step: i16| a + (b - a) / 8 * step;
        for step in 0..8 {
            self.fake(MOTION_NOTIFY_EVENT, 0, (between(from.0, to.0, step), between(from.1, to.1, step)));
            std::thread::sleep(Duration::from_millis(20));
        }
        self.fake(MOTION_NOTIFY_EVENT, 0, to);
        self.fake(BUTTON_RELEASE_EVENT, 1, to);
    }

    /// Asks the program to close its window, as a window manager does.
    fn close(&self) {
        let atom = |name: &str| self.x.intern_atom(false, name.as_bytes()).unwrap().reply().unwrap().atom;
        let data = [atom("WM_DELETE_WINDOW"), 0, 0, 0, 0];
        let event = ClientMessageEvent::new(32, self.window, atom("WM_PROTOCOLS"), data);
        self.x.send_event(false, self.window, EventMask::NO_EVENT, event).unwrap().check().unwrap();
    }
}

fn picture_of(test: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.png"))
}

#[test]
fn canvases_follow_the_pointer_and_the_window() {
    let Some((_server, display)) = start_server() else { return };
    let path = picture_of("window-pointer");
    let mut program = start_window(&display, &[], &path);
    let Some(screen) = Screen::new(&display, &mut program) else { return };
    screen.wait_for_pixels(
        "the first frame",
        &[((60, 60), RED), ((150, 120), RED), ((400, 100), GREEN), ((20, 20), BACKDROP)],
    );

    screen.drag((100, 100), (520, 420));
    screen.wait_for_pixels(
        "a moved canvas",
        &[((60, 60), BACKDROP), ((100, 100), BACKDROP), ((470, 370), RED), ((520, 420), RED)],
    );
    screen.drag((400, 100), (400, 100));
    screen.wait_for_pixels("another color", &[((400, 100), BLUE), ((450, 150), BLUE)]);
    screen.drag((455, 195), (485, 255));
    // The edge of the canvas is darker.
    let edge = Some([33, 58, 114]);
    screen.wait_for_pixels(
        "a larger canvas",
        &[((470, 230), BLUE), ((350, 250), BLUE), ((495, 150), BACKDROP)],
    );
    screen.wait_until("its edge", || screen.pixel((488, 100)) == edge && screen.pixel((320, 258)) == edge);

    let before = screen.pixel((620, 150));
    screen.wait_until("an animation", || screen.pixel((620, 150)) != before);
    screen.wait_until("a statistic", || screen.title().contains("presented"));
    println!("{}", screen.title());

    let size = ConfigureWindowAux::new().width(900).height(700);
    screen.x.configure_window(screen.window, &size).unwrap().check().unwrap();
    let shown = [((890, 690), BACKDROP), ((520, 420), RED), ((350, 250), BLUE)];
    screen.wait_for_pixels("a larger window", &shown);

    screen.close();
    assert!(has_run(program.0.wait().unwrap()));
    let (width, height, pixels) = read_picture(&path);
    assert_eq!((width, height), (900, 700));
    for ((x, y), color) in shown {
        let start = (y as usize * 900 + x as usize) * 3;
        assert_eq!(pixels[start..start + 3], color, "{x}, {y}");
    }
}

#[test]
fn a_run_of_some_frames_ends_with_a_screenshot() {
    let Some((_server, display)) = start_server() else { return };
    let path = picture_of("window-frames");
    let mut program = start_window(&display, &["--frames", "20"], &path);
    if !has_run(program.0.wait().unwrap()) {
        return;
    }
    let (width, height, pixels) = read_picture(&path);
    assert_eq!((width, height), (800, 600));
    let pixel = |x: usize, y: usize| <[u8; 3]>::try_from(&pixels[(y * 800 + x) * 3..][..3]).unwrap();
    assert_eq!([pixel(60, 60), pixel(400, 100), pixel(20, 20)], [RED, GREEN, BACKDROP]);
    // Rings have many colors.
    let row: std::collections::HashSet<_> = (510..730).map(|x| pixel(x, 150)).collect();
    assert!(row.len() > 50, "{} colors", row.len());
}
