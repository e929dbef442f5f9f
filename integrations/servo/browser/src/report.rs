//! What a browser tells about one page.
//!
//! The browser prints a [`Report`] as one line of JSON when the page is done, when its time is up, or when the page crashed. A
//! browser that crashed itself prints none: the suite makes a report of that.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What became of one page in one browser.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Report {
    pub outcome: Outcome,
    pub checks: Vec<Check>,
    pub rates: Vec<Rate>,
    /// What the page could not check, and why.
    pub skipped: Vec<String>,
    pub screenshots: Vec<Screenshot>,
    /// What threads said that panicked before the page was done.
    pub panics: Vec<String>,
    /// Warnings and errors of the console, and whatever else it said that is no message.
    pub console: Vec<String>,
    pub seconds: f64,
}

/// How a page ended.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Done,
    TimedOut,
    /// With the reason, as far as it is known.
    Crashed(String),
}

/// Something that must be so, and whether it was.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Check {
    pub label: String,
    pub passed: bool,
    /// What was seen, and what would be right.
    pub detail: String,
    /// Why Servo's own script keeps this check from passing, whatever presents the canvas.
    pub limit: Option<String>,
    /// Where it was looked at.
    pub place: Option<Place>,
}

/// A pixel of a screenshot.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Place {
    pub screenshot: String,
    pub x: i64,
    pub y: i64,
}

/// How fast something ran.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Rate {
    pub label: String,
    pub frames_per_second: f64,
}

/// A screenshot, and the file that it was written to.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Screenshot {
    pub name: String,
    pub file: PathBuf,
}

impl Report {
    /// Returns the report of a page of which nothing is known but how it ended.
    pub fn of_outcome(outcome: Outcome, seconds: f64) -> Self {
        Self {
            outcome,
            checks: Vec::new(),
            rates: Vec::new(),
            skipped: Vec::new(),
            screenshots: Vec::new(),
            panics: Vec::new(),
            console: Vec::new(),
            seconds,
        }
    }

    pub fn passed(&self) -> usize {
        self.checks.iter().filter(|check| check.passed).count()
    }

    /// Returns the checks that failed for a reason that is not one of Servo's own limits.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| !check.passed && check.limit.is_none())
    }

    /// Returns the checks that failed because of Servo's own limits.
    pub fn limited(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| !check.passed && check.limit.is_some())
    }

    /// Returns whether the page was done, nothing panicked, and no check failed but for Servo's own limits.
    pub fn is_right(&self) -> bool {
        self.outcome == Outcome::Done && self.panics.is_empty() && self.failed().next().is_none()
    }
}
