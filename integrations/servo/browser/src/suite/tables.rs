//! The results as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use servo_browser::report::{Outcome, Report};

use crate::results::Results;

/// The most failed checks of a page that are told.
const MAX_FAILURES: usize = 12;

const PUBLISHED: &str = "as published";
const ADAPTED: &str = "on this crate";

/// Returns a table of pages and builds.
pub(crate) fn verdicts(results: &Results) -> String {
    let mut rows = vec![["page".to_owned(), PUBLISHED.into(), ADAPTED.into()]];
    for row in &results.rows {
        let published = row.published.as_ref().map_or_else(|| "–".to_owned(), verdict);
        rows.push([row.page.clone(), published, verdict(&row.adapted)]);
    }
    let right = |reports: &mut dyn Iterator<Item = &Report>| {
        let (mut right, mut all) = (0, 0);
        for report in reports {
            all += 1;
            right += usize::from(report.is_right());
        }
        format!("{right} of {all} right")
    };
    rows.push([
        String::new(),
        right(&mut results.rows.iter().filter_map(|row| row.published.as_ref())),
        right(&mut results.rows.iter().map(|row| &row.adapted)),
    ]);
    align(&rows)
}

/// Returns a table of frame rates and builds.
pub(crate) fn rates(results: &Results) -> String {
    // In the order in which pages tell them.
    let mut labels = Vec::new();
    let mut rates: BTreeMap<&str, [String; 2]> = BTreeMap::new();
    for row in &results.rows {
        let reports = [row.published.as_ref(), Some(&row.adapted)];
        for (column, report) in reports.into_iter().enumerate() {
            for rate in report.iter().flat_map(|report| &report.rates) {
                if !rates.contains_key(&*rate.label) {
                    labels.push(&*rate.label);
                }
                rates.entry(&rate.label).or_default()[column] = format!("{:.1}", rate.frames_per_second);
            }
        }
    }
    if labels.is_empty() {
        return String::new();
    }
    let mut rows = vec![["frames per second".to_owned(), PUBLISHED.into(), ADAPTED.into()]];
    for label in labels {
        if let Some([published, adapted]) = rates.remove(label) {
            rows.push([label.to_owned(), published, adapted]);
        }
    }
    format!("\n{}", align(&rows))
}

/// Returns what was not right, page by page.
pub(crate) fn failures(results: &Results) -> String {
    let mut text = String::new();
    for row in &results.rows {
        let reports = [(PUBLISHED, row.published.as_ref()), (ADAPTED, Some(&row.adapted))];
        for (build, report) in reports {
            for line in report.map(unfit).unwrap_or_default() {
                // Writing into a String does not fail.
                let _ = writeln!(text, "{} {build}: {line}", row.page);
            }
        }
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

/// Returns in a few words how a page went.
pub(crate) fn verdict(report: &Report) -> String {
    let counts = format!("{}/{}", report.passed(), report.checks.len());
    let mut words = match &report.outcome {
        Outcome::Done => counts,
        Outcome::TimedOut => format!("timed out, {counts}"),
        Outcome::Crashed(_) => format!("crashed, {counts}"),
    };
    let numbers = [
        (report.failed().count(), "failed"),
        (report.panics.len(), "panicked"),
        (report.limited().count(), "limited"),
        (report.skipped.len(), "skipped"),
    ];
    for (number, word) in numbers {
        if number > 0 {
            let _ = write!(words, ", {number} {word}");
        }
    }
    words
}

/// Returns a line for each thing that was not right.
fn unfit(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    if let Outcome::Crashed(why) = &report.outcome {
        lines.push(format!("crashed: {why}"));
    }
    lines.extend(report.panics.iter().map(|said| format!("panicked: {said}")));
    let failed: Vec<_> = report.failed().collect();
    for check in failed.iter().take(MAX_FAILURES) {
        lines.push(format!("failed: {}: {}", check.label, check.detail));
    }
    if failed.len() > MAX_FAILURES {
        lines.push(format!("failed: {} more", failed.len() - MAX_FAILURES));
    }
    for check in report.limited() {
        let limit = check.limit.as_deref().unwrap_or_default();
        lines.push(format!("limited: {}: {} ({limit})", check.label, check.detail));
    }
    lines.extend(report.skipped.iter().map(|reason| format!("skipped: {reason}")));
    lines
}

fn align(rows: &[[String; 3]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    let mut text = String::new();
    for [a, b, c] in rows {
        let _ = writeln!(text, "{a:first$}  {b:second$}  {c}");
    }
    text
}

#[cfg(test)]
mod tests {
    use servo_browser::report::Check;

    use super::*;

    fn report(passed: bool, limit: Option<&str>) -> Report {
        let mut report = Report::of_outcome(Outcome::Done, 1.0);
        report.checks.push(Check {
            label: "corner".into(),
            passed,
            detail: "#ff0000, right is #000000".into(),
            limit: limit.map(str::to_owned),
            place: None,
        });
        report
    }

    #[test]
    fn a_limit_of_servo_is_no_failure() {
        assert_eq!(verdict(&report(true, None)), "1/1");
        assert_eq!(verdict(&report(false, None)), "0/1, 1 failed");
        assert_eq!(verdict(&report(false, Some("no color space"))), "0/1, 1 limited");
        assert!(report(false, Some("no color space")).is_right());
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".into(), "b".into(), "c".into()], ["long".into(), "longer".into(), "x".into()]];
        assert_eq!(align(&rows), "a     b       c\nlong  longer  x\n");
    }
}
