//! What all pages found out in both builds.

use std::fs;
use std::path::Path;

use serde::Serialize;

use servo_browser::report::Report;

use crate::error::SuiteError;

/// All pages, in the order in which they were opened.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub rows: Vec<Row>,
}

/// One page.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub page: String,
    pub title: String,
    /// Servo as published, if it was asked for.
    pub published: Option<Report>,
    /// Servo on this crate.
    pub adapted: Report,
}

impl Results {
    pub(crate) fn write(&self, file: &Path) -> Result<(), SuiteError> {
        let json = serde_json::to_string_pretty(self)?;
        fs::write(file, json + "\n").map_err(|source| SuiteError::Write { path: file.to_owned(), source })
    }
}
