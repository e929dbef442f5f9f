//! Opens one page in one build of Servo, in a process of its own.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use wait_timeout::ChildExt;

use servo_browser::report::{Outcome, Report};

use crate::error::SuiteError;
use crate::pages::Page;
use crate::server::Server;

/// How much longer than its page a browser may take, until it is killed.
const GRACE: Duration = Duration::from_secs(15);

/// A build of Servo.
pub(crate) struct Browser {
    program: PathBuf,
    out: PathBuf,
}

impl Browser {
    /// Names a build of Servo, and the folder for its screenshots and logs.
    pub(crate) fn new(program: &Path, out: PathBuf) -> Result<Self, SuiteError> {
        // A name without a folder would be looked for elsewhere.
        let program = fs::canonicalize(program)
            .map_err(|source| SuiteError::Start { program: program.to_owned(), source })?;
        Ok(Self { program, out })
    }

    /// Opens the page and waits until the browser has ended, or kills it.
    pub(crate) fn open(&self, page: &Page, server: &Server) -> Result<Report, SuiteError> {
        let start = Instant::now();
        let out = self.out.join(&page.name);
        fs::create_dir_all(&out).map_err(|source| SuiteError::Write { path: out.clone(), source })?;
        let log = out.join("log.txt");
        let log_file =
            File::create(&log).map_err(|source| SuiteError::Write { path: log.clone(), source })?;

        let mut command = Command::new(&self.program);
        command.arg(server.url(page)).args(&page.arguments).arg("--out").arg(&out);
        command.args(["--timeout", &page.timeout.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log_file);
        let mut child =
            command.spawn().map_err(|source| SuiteError::Start { program: self.program.clone(), source })?;

        let (said, status) = wait(&mut child, Duration::from_secs(page.timeout) + GRACE);
        let report = said.lines().rev().find_map(|line| serde_json::from_str(line).ok());
        Ok(report.unwrap_or_else(|| {
            let seconds = start.elapsed().as_secs_f64();
            Report::of_outcome(outcome(status, &log), seconds)
        }))
    }
}

/// Returns what the browser said, and how it ended; without a status if it had to be killed.
fn wait(child: &mut Child, limit: Duration) -> (String, Option<ExitStatus>) {
    // A pipe that nothing reads from would fill, and the browser would wait.
    let reader = child.stdout.take().map(|mut stdout| {
        thread::spawn(move || {
            let mut said = Vec::new();
            // What was read before an error counts.
            let _ = stdout.read_to_end(&mut said);
            String::from_utf8_lossy(&said).into_owned()
        })
    });
    let status = child.wait_timeout(limit).ok().flatten();
    if status.is_none() {
        // It may have ended by itself in the meantime.
        let _ = child.kill();
        let _ = child.wait();
    }
    let said = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
    (said, status)
}

/// Returns how the page of a browser ended that did not say so.
fn outcome(status: Option<ExitStatus>, log: &Path) -> Outcome {
    let Some(status) = status else { return Outcome::TimedOut };
    let log = fs::read_to_string(log).unwrap_or_default();
    let panic = log.lines().skip_while(|line| !line.contains("panicked at")).take(2);
    let why = panic.collect::<Vec<_>>().join(" ");
    Outcome::Crashed(if why.is_empty() { status.to_string() } else { format!("{status}: {why}") })
}
