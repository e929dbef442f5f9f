//! `cargo xtask test`: runs the steps and sums up.
//!
//! Steps run one after the other, and the first that fails is the last that runs. Their output passes through
//! unchanged; lines with test results are counted on the way. At the end each step has a line with its time, and the
//! very last line holds the numbers of tests passed and failed.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::error::XtaskError;
use crate::setup;
use crate::steps::Step;
use crate::tally::Tally;

/// A step that ran to its end.
struct Ran {
    step: Step,
    status: ExitStatus,
    duration: Duration,
    tally: Tally,
}

/// Runs the steps in their order: all of them if `only` is empty.
pub fn command(only: &[Step]) -> Result<(), XtaskError> {
    setup::ensure()?;
    let chosen = |step: &&Step| only.is_empty() || only.contains(step);
    let steps: Vec<Step> = Step::value_variants().iter().filter(chosen).copied().collect();

    let mut ran = Vec::new();
    for (index, &step) in steps.iter().enumerate() {
        println!("\n=== {} ({} of {}): {}", step.name(), index + 1, steps.len(), step.written());
        let done = run(step).map_err(|source| XtaskError::StepNotRun { step: step.name(), source })?;
        println!("=== {}: {}, {}", step.name(), verdict(done.status), seconds(done.duration));
        let success = done.status.success();
        ran.push(done);
        if !success {
            break;
        }
    }
    print_summary(&steps, &ran);
    match ran.last() {
        Some(last) if !last.status.success() => {
            Err(XtaskError::StepFailed { step: last.step.name(), status: last.status })
        }
        _ => Ok(()),
    }
}

fn run(step: Step) -> io::Result<Ran> {
    // The headline has to reach the terminal before what cargo writes there.
    io::stdout().flush()?;
    let start = Instant::now();
    let mut command = step.command();
    if let Some(tests) = step.builds() {
        match built(&mut command)? {
            Ok(program) => command = program,
            Err(status) => {
                return Ok(Ran { step, status, duration: start.elapsed(), tally: Tally::default() });
            }
        }
        command.arg(tests);
    }
    let (status, tally) =
        if step.runs_tests() { run_counting(&mut command)? } else { (command.status()?, Tally::default()) };
    Ok(Ran { step, status, duration: start.elapsed(), tally })
}

/// Lets cargo build a program, and returns the command that starts it; or the status with which cargo failed.
fn built(command: &mut Command) -> io::Result<Result<Command, ExitStatus>> {
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Ok(Err(output.status));
    }
    let program = program_in(&String::from_utf8_lossy(&output.stdout));
    program.map(|path| Ok(Command::new(path))).ok_or_else(|| io::Error::other("cargo names no program"))
}

/// Returns the last program that cargo's JSON names. The only escape that occurs in a path is `\\`.
fn program_in(json: &str) -> Option<String> {
    let (_, rest) = json.rsplit_once("\"executable\":\"")?;
    rest.split_once('"').map(|(path, _)| path.replace("\\\\", "\\"))
}

/// Runs the command, prints each line of its stdout as it comes, and adds up the test results among them.
fn run_counting(command: &mut Command) -> io::Result<(ExitStatus, Tally)> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut tally = Tally::default();
    if let Some(stdout) = child.stdout.take() {
        tally = count_lines(BufReader::new(stdout), io::stdout().lock())?;
    }
    let status = child.wait()?;
    // A test program that was killed prints no result, and counts as one failure.
    if !status.success() && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok((status, tally))
}

/// Copies lines and counts the results in them. Lines are bytes, because tests may print anything.
fn count_lines(mut from: impl BufRead, mut to: impl Write) -> io::Result<Tally> {
    let mut tally = Tally::default();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        to.flush()?;
        if let Some(counted) = Tally::of_line(&String::from_utf8_lossy(&line)) {
            tally += counted;
        }
        line.clear();
    }
    Ok(tally)
}

/// Prints a line for each step, and the numbers of tests on a line of their own at the end.
fn print_summary(steps: &[Step], ran: &[Ran]) {
    println!("\n=== summary");
    let mut total = Tally::default();
    for (index, step) in steps.iter().enumerate() {
        let Some(Ran { status, duration, tally, .. }) = ran.get(index) else {
            println!("{:<14} not run", step.name());
            continue;
        };
        let mut line = format!("{:<14} {:<7} {:>9}", step.name(), verdict(*status), seconds(*duration));
        if step.runs_tests() {
            line += &format!("   {tally}, {} ignored", tally.ignored);
        }
        println!("{line}");
        total += *tally;
    }
    if ran.iter().any(|ran| ran.step.runs_tests()) {
        println!("\n{total}");
    }
}

fn verdict(status: ExitStatus) -> &'static str {
    if status.success() { "ok" } else { "FAILED" }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_passed_on_as_they_are_and_results_counted() {
        let printed: &[u8] = b"running 1 test\n\xff\xfe\ntest result: ok. 1 passed; 0 failed; 0 ignored\n\n\
            test result: FAILED. 2 passed; 1 failed; 4 ignored\nno newline at the end";
        let mut echoed = Vec::new();
        let tally = count_lines(printed, &mut echoed).unwrap();
        assert_eq!(echoed, printed);
        assert_eq!(tally, Tally { passed: 3, failed: 1, ignored: 4 });
    }

    #[test]
    fn the_program_that_cargo_built_is_found() {
        let json = r#"{"reason":"compiler-artifact","executable":null,"fresh":true}
            {"reason":"compiler-artifact","executable":"C:\\target\\a-1.exe","fresh":false}
            {"reason":"build-finished","success":true}"#;
        assert_eq!(program_in(json).as_deref(), Some(r"C:\target\a-1.exe"));
        assert_eq!(program_in("{}"), None);
    }

    #[test]
    fn a_program_that_dies_without_a_result_counts_as_a_failure() {
        let (status, tally) = run_counting(&mut Command::new("false")).unwrap();
        assert!(!status.success());
        assert_eq!(tally, Tally { passed: 0, failed: 1, ignored: 0 });
    }
}
