//! Serves the pages on localhost.
//!
//! WebGPU is there for secure pages only: localhost counts as secure, and files do not.

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tiny_http::{Header, Request, Response};

use crate::error::SuiteError;
use crate::pages::Page;

/// A web server on a port of its own, which ends when it is dropped.
pub(crate) struct Server {
    http: Arc<tiny_http::Server>,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves the files of a folder and of the folders in it.
    pub(crate) fn start(folder: &Path) -> Result<Self, SuiteError> {
        let http =
            tiny_http::Server::http("127.0.0.1:0").map_err(|error| SuiteError::Server(error.to_string()))?;
        let port = match http.server_addr().to_ip() {
            Some(address) => address.port(),
            None => return Err(SuiteError::Server("it has no port".into())),
        };
        let http = Arc::new(http);
        let (serving, folder) = (http.clone(), folder.to_owned());
        let thread = thread::spawn(move || {
            for request in serving.incoming_requests() {
                serve(&folder, request);
            }
        });
        Ok(Self { http, port, thread: Some(thread) })
    }

    pub(crate) fn url(&self, page: &Page) -> String {
        format!("http://localhost:{}/{}.html", self.port, page.name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.http.unblock();
        if let Some(thread) = self.thread.take() {
            // A panic of the server was printed, and the pages it did not serve are failures.
            let _ = thread.join();
        }
    }
}

/// Answers a request. A browser that has gone in the meantime misses nothing.
fn serve(folder: &Path, request: Request) {
    let file = path(folder, request.url()).and_then(|path| Some((content_type(&path)?, open(&path)?)));
    let _ = match file {
        Some((content_type, file)) => {
            let mut response = Response::from_file(file);
            for (name, value) in [("Content-Type", content_type), ("Cache-Control", "no-store")] {
                if let Ok(header) = Header::from_bytes(name, value) {
                    response.add_header(header);
                }
            }
            request.respond(response)
        }
        None => request.respond(Response::from_string("There is no such file.").with_status_code(404)),
    };
}

/// Returns the path of what is asked for, unless it leads out of the folder.
fn path(folder: &Path, url: &str) -> Option<PathBuf> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let relative = Path::new(path.trim_start_matches('/'));
    relative.components().all(|part| matches!(part, Component::Normal(_))).then(|| folder.join(relative))
}

fn open(path: &Path) -> Option<File> {
    match File::open(path) {
        Ok(file) => Some(file),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                eprintln!("{} cannot be served: {error}", path.display());
            }
            None
        }
    }
}

fn content_type(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_str()? {
        "html" => Some("text/html; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_of_the_folder_is_served() {
        let folder = Path::new("pages");
        assert_eq!(path(folder, "/parts/canvas.html?a#b"), Some("pages/parts/canvas.html".into()));
        assert_eq!(path(folder, "/../secret.html"), None);
        assert_eq!(path(folder, "/parts/../../secret.html"), None);
    }
}
