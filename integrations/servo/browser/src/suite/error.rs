//! Why there are no results.

use std::io;
use std::path::PathBuf;

/// The suite could not run, or could not tell of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SuiteError {
    #[error("{} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} cannot be written: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{} has no page of that name", folder.display())]
    NoPages { folder: PathBuf },
    #[error("{}: `{word}` says nothing about how to open the page", path.display())]
    Option { path: PathBuf, word: String },
    #[error("pages cannot be served on localhost: {0}")]
    Server(String),
    #[error("{} cannot be started: {source}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("the picture {} cannot be used: {source}", path.display())]
    Picture { path: PathBuf, source: image::ImageError },
    #[error("the results cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}
