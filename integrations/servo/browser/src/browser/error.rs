//! Why no page was opened.

use std::io;
use std::path::PathBuf;

/// The browser could not open the page, or could not tell of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrowserError {
    #[error("there is no page to open")]
    NoPage,
    #[error("another provider of cryptography is in place")]
    Cryptography,
    #[error("{} cannot be made: {source}", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error("software rendering does not work here: {0}")]
    Rendering(String),
    #[error("the report cannot be written: {0}")]
    Report(#[from] serde_json::Error),
}
