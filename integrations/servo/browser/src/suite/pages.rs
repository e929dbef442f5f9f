//! The pages: which there are, and how each wants to be opened.
//!
//! A page is an HTML file of the folder itself; folders in it hold what pages embed. `<meta name="suite" content="…">` says how
//! to open it: `timeout=SECONDS`, `size=WIDTHxHEIGHT`, `force-ipc`, `multiprocess`, separated by spaces.

use std::fs;
use std::path::Path;

use crate::error::SuiteError;

const META: &str = "<meta name=\"suite\" content=\"";

/// A page, and how to open it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Page {
    /// The name of the file, without its ending.
    pub name: String,
    pub title: String,
    /// In seconds.
    pub timeout: u64,
    /// What else the browser is told.
    pub arguments: Vec<String>,
}

/// Finds the pages whose names contain one of `names`, or all pages if it is empty, in the order of their names.
pub(crate) fn find(folder: &Path, names: &[String]) -> Result<Vec<Page>, SuiteError> {
    let unreadable = |source| SuiteError::Read { path: folder.to_owned(), source };
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
        let wanted = names.is_empty() || names.iter().any(|part| name.contains(&**part));
        if wanted && path.extension().is_some_and(|ending| ending == "html") {
            let html = fs::read_to_string(&path)
                .map_err(|source| SuiteError::Read { path: path.clone(), source })?;
            pages.push(
                Page::read(name, &html).map_err(|word| SuiteError::Option { path: path.clone(), word })?,
            );
        }
    }
    if pages.is_empty() {
        return Err(SuiteError::NoPages { folder: folder.to_owned() });
    }
    pages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pages)
}

impl Page {
    /// Reads how to open the page, or returns the word that is not understood.
    fn read(name: &str, html: &str) -> Result<Self, String> {
        let title = between(html, "<title>", "</title>").unwrap_or(name).to_owned();
        let mut page = Self { name: name.to_owned(), title, timeout: 60, arguments: Vec::new() };
        for word in between(html, META, "\"").unwrap_or_default().split_whitespace() {
            match word.split_once('=') {
                Some(("timeout", seconds)) => page.timeout = seconds.parse().map_err(|_| word)?,
                Some(("size", size)) => page.arguments.extend(["--size".to_owned(), size.to_owned()]),
                None if matches!(word, "force-ipc" | "multiprocess") => {
                    page.arguments.push(format!("--{word}"));
                }
                _ => return Err(word.to_owned()),
            }
        }
        Ok(page)
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_how_it_is_opened() {
        let html = "<title>Two</title><meta name=\"suite\" content=\"timeout=9 size=8x6 force-ipc\">";
        let page = Page::read("two", html).unwrap();
        assert_eq!((&*page.title, page.timeout), ("Two", 9));
        assert_eq!(page.arguments, ["--size", "8x6", "--force-ipc"]);
    }

    #[test]
    fn an_unknown_word_is_an_error() {
        let html = "<meta name=\"suite\" content=\"timeout=soon\">";
        assert_eq!(Page::read("bad", html).unwrap_err(), "timeout=soon");
    }
}
