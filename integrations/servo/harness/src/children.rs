//! Processes in which cases run, one for each comparison, and one for each variant that is tried.
//!
//! A child prints its rows, or how it failed, as one line of JSON. It fails by panicking on its main thread: because something is
//! wrong, or because an answer did not come in time, for instance from a thread that has panicked. A child that says nothing has
//! crashed, and one that does not end in time is killed. The panics of all threads are told in any case: they go to stderr at once.

use std::io::{BufRead, BufReader, Read};
use std::panic;
use std::process::{Command, ExitCode, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::cases::{self, Case};
use crate::rows::{Figure, Row};
use crate::servo::Variant;
use crate::trials::{self, Trial};

/// How long a child may take. The longest takes half of that.
const LIMIT: Duration = Duration::from_secs(120);

/// What a line of stderr begins with that tells of a panic.
const PANIC: &str = "panic: ";

/// One thing to run.
pub enum Job {
    Comparison(Case),
    Trial(Trial),
}

type Outcome = Result<Vec<Row>, String>;

impl Job {
    pub fn id(&self) -> &str {
        match self {
            Self::Comparison(case) => &case.id,
            Self::Trial(trial) => trial.id,
        }
    }

    pub fn is_check(&self) -> bool {
        matches!(self, Self::Trial(trial) if trial.is_check)
    }

    /// Runs it in children, and returns its rows.
    pub fn run(&self) -> Vec<Row> {
        match self {
            Self::Comparison(case) => spawn(&case.id, None).unwrap_or_else(|how| {
                let mut row = Row::new(case.id.clone(), "the comparison", "");
                [row.published, row.adapted] = [(); 2].map(|()| Figure::Failed(how.clone()));
                vec![row]
            }),
            Self::Trial(trial) => {
                let mut rows = trial.rows();
                for variant in [Variant::Published, Variant::Adapted] {
                    let outcome = spawn(trial.id, Some(variant));
                    for (index, row) in rows.iter_mut().enumerate() {
                        *row.figure_of(variant.name()) = match &outcome {
                            Ok(told) => told[index].clone().figure_of(variant.name()).clone(),
                            Err(how) => Figure::Failed(how.clone()),
                        };
                    }
                }
                rows
            }
        }
    }
}

fn spawn(id: &str, variant: Option<Variant>) -> Outcome {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["--child", id]);
    command.args(variant.iter().flat_map(|variant| ["--variant", variant.name()]));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let stdout = read(child.stdout.take());
    let stderr = read(child.stderr.take());
    let start = Instant::now();
    let ended = loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break format!("crashes: the process ended with {status}");
        }
        if start.elapsed() > LIMIT {
            // It may have ended meanwhile.
            let _ = child.kill();
            let _ = child.wait();
            break format!("hangs: it was killed after {LIMIT:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let told = stdout.join().unwrap_or_default();
    let (panics, others): (Vec<_>, Vec<_>) =
        stderr.join().unwrap_or_default().into_iter().partition(|line| line.starts_with(PANIC));
    others.iter().for_each(|line| eprintln!("{line}"));
    let panics: Vec<_> = panics.iter().map(|line| line.trim_start_matches(PANIC)).collect();
    match told.iter().rev().find_map(|line| serde_json::from_str::<Option<Vec<Row>>>(line).ok()) {
        Some(Some(rows)) if panics.is_empty() => Ok(rows),
        Some(_) => Err(panics.join("; ")),
        None => Err(std::iter::once(&*ended).chain(panics).collect::<Vec<_>>().join("; ")),
    }
}

/// Reads all lines of a pipe, on a thread, so that the child never waits for that.
fn read(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let lines = pipe.map(|pipe| BufReader::new(pipe).split(b'\n')).into_iter().flatten().flatten();
        lines.map(|line| String::from_utf8_lossy(&line).into_owned()).collect()
    })
}

/// Runs a case in this process, prints what it yields, or that it yields nothing, and ends the process.
pub fn run_as_child(id: &str, variant: Option<Variant>) -> ExitCode {
    panic::set_hook(Box::new(|info| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("a thread").to_owned();
        let message = info.payload_as_str().unwrap_or("an unknown panic").replace('\n', " ");
        let place = info.location().map(|place| (place.file().rsplit('/').next(), place.line()));
        match place {
            Some((Some(file), line)) => eprintln!("{PANIC}{thread}: {message} ({file}:{line})"),
            _ => eprintln!("{PANIC}{thread}: {message}"),
        }
    }));
    let rows = panic::catch_unwind(|| match variant {
        None => {
            let case = cases::all().into_iter().find(|case| case.id == id).expect("there is such a case");
            (case.run)()
        }
        Some(variant) => {
            let trial = trials::all().into_iter().find(|trial| trial.id == id);
            trial.expect("there is such a trial").run_for(variant)
        }
    });
    match serde_json::to_string(&rows.ok()) {
        Ok(line) => println!("\n{line}"),
        Err(error) => eprintln!("{error}"),
    }
    // Threads that hang, and destructors of the driver, must not keep the process.
    std::process::exit(0)
}
