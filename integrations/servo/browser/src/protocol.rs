//! Messages of a page to the browser that has it open.
//!
//! A page speaks by `console.log`: the word `suite`, a space, and a [`Message`] as JSON. Requests carry an id, and the browser
//! answers them by calling `suite.answer(id)` in the page. Coordinates are CSS pixels of the viewport, which are pixels of the
//! screenshot as well, because a page is never zoomed.

use serde::Deserialize;

/// Begins each console message that is meant for the browser.
const PREFIX: &str = "suite ";

/// Something a page says to the browser.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Message {
    /// Asks for a screenshot, in which each of `pixels` is compared with what it must be.
    Screenshot { id: u64, name: String, pixels: Vec<Pixel> },
    /// Asks the browser to look at one pixel of each frame that it paints from now on, until [`Message::Unwatch`].
    Watch {
        id: u64,
        label: String,
        x: u32,
        y: u32,
        colors: Vec<[u8; 3]>,
        tolerance: u8,
        /// Why Servo itself keeps a frame from being right.
        limit: Option<String>,
    },
    /// Ends the watch of this label. A watch is a check, which fails if any frame showed another color.
    Unwatch { id: u64, label: String },
    /// Asks the browser to load the page again.
    Reload { id: u64 },
    /// Tells what script checked itself.
    Check { label: String, ok: bool, detail: String, limit: Option<String> },
    /// Tells a frame rate.
    Rate { label: String, frames_per_second: f64 },
    /// Tells what the page could not check, because Servo has no such thing.
    Skip { reason: String },
    /// Ends the page.
    Done,
}

/// What one pixel of a screenshot must be.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Pixel {
    pub label: String,
    pub x: i64,
    pub y: i64,
    pub color: [u8; 3],
    /// The largest difference in any of the three channels.
    pub tolerance: u8,
    /// Why Servo's own script keeps this pixel from being right, whatever presents the canvas.
    pub limit: Option<String>,
}

/// A console message begins like one for the browser, but is none.
#[derive(Debug, thiserror::Error)]
#[error("the page said something that is no message: {0}")]
pub struct NotAMessage(#[from] serde_json::Error);

impl Message {
    /// Reads a console message, and returns `None` if it is not meant for the browser.
    pub fn parse(console: &str) -> Option<Result<Self, NotAMessage>> {
        console.strip_prefix(PREFIX).map(|json| serde_json::from_str(json).map_err(NotAMessage))
    }
}

/// Returns whether no channel of `seen` is farther than `tolerance` from `right`.
pub fn alike(seen: [u8; 3], right: [u8; 3], tolerance: u8) -> bool {
    seen.iter().zip(right).all(|(seen, right)| seen.abs_diff(right) <= tolerance)
}

/// Returns a color as it is written in CSS.
pub fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_for_the_browser_is_left_alone() {
        assert!(Message::parse("hello").is_none());
        assert!(Message::parse("suite nonsense").unwrap().is_err());
    }

    #[test]
    fn a_screenshot_names_its_pixels() {
        let said = r##"suite {"screenshot":{"id":1,"name":"drawn","pixels":
            [{"label":"corner","x":3,"y":-1,"color":[255,0,0],"tolerance":1}]}}"##;
        let pixel =
            Pixel { label: "corner".into(), x: 3, y: -1, color: [255, 0, 0], tolerance: 1, limit: None };
        let right = Message::Screenshot { id: 1, name: "drawn".into(), pixels: vec![pixel] };
        assert_eq!(Message::parse(said).unwrap().unwrap(), right);
        assert_eq!(Message::parse("suite \"done\"").unwrap().unwrap(), Message::Done);
    }

    #[test]
    fn tolerance_is_that_of_each_channel() {
        assert!(alike([255, 100, 0], [254, 101, 0], 1));
        assert!(!alike([255, 100, 0], [255, 102, 0], 1));
    }
}
