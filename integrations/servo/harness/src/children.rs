//! Processes in which cases run, one for each comparison, and one for each variant that is tried.
//!
//! A child prints its rows, or how it failed, as one line of JSON. It fails by panicking on its main thread: because something is
//! wrong, or because an answer did not come in time, for instance from a thread that has panicked. The panics of all its threads are
//! told. A child that says nothing has crashed, and one that does not end in time is killed.

use std::io::Read;
use std::panic;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::cases::{self, Case};
use crate::rows::{Figure, Row};
use crate::servo::Variant;
use crate::trials::{self, Trial};

/// How long a child may take. The longest takes half of that.
const LIMIT: Duration = Duration::from_secs(120);

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
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut stdout = child.stdout.take().expect("it is piped");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        // What cannot be read is not JSON, which is told below.
        let _ = stdout.read_to_string(&mut text);
        text
    });
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break status;
        }
        if start.elapsed() > LIMIT {
            // It may have ended meanwhile.
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("hangs: it was killed after {LIMIT:?}"));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = reader.join().unwrap_or_default();
    let told: Option<Outcome> = text.lines().rev().find_map(|line| serde_json::from_str(line).ok());
    told.unwrap_or_else(|| Err(format!("crashes: the process ended with {status}")))
}

/// Runs a case in this process, prints what it yields, and ends the process.
pub fn run_as_child(id: &str, variant: Option<Variant>) -> ExitCode {
    static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    panic::set_hook(Box::new(|info| {
        let thread = std::thread::current();
        let message = info.payload_as_str().unwrap_or("an unknown panic");
        let place = info.location().map(|place| format!(" ({}:{})", file_name(place.file()), place.line()));
        let told = format!("{}: {message}{}", thread.name().unwrap_or("a thread"), place.unwrap_or_default());
        PANICS.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(told);
    }));
    let outcome = panic::catch_unwind(|| match variant {
        None => {
            let case = cases::all().into_iter().find(|case| case.id == id);
            case.map(|case| (case.run)())
        }
        Some(variant) => {
            let trial = trials::all().into_iter().find(|trial| trial.id == id);
            trial.map(|trial| trial.run_for(variant))
        }
    });
    let panics = PANICS.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).join("; ");
    let outcome: Outcome = match outcome {
        Ok(Some(_)) if !panics.is_empty() => Err(panics),
        Ok(Some(rows)) => Ok(rows),
        Ok(None) => Err("there is no such case".into()),
        Err(_) => Err(panics),
    };
    match serde_json::to_string(&outcome) {
        Ok(line) => println!("\n{line}"),
        Err(error) => eprintln!("{error}"),
    }
    // Threads that hang, and destructors of the driver, must not keep the process.
    std::process::exit(0)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
