//! Prints rows as a table.

use crate::rows::Row;

const HEADER: [&str; 10] =
    ["", "work", "unit", "ours", "peer", "floor", "ours/floor", "peer/ours", "target", "met"];

pub fn print(rows: &[Row]) {
    let lines: Vec<_> = std::iter::once(HEADER.map(String::from)).chain(rows.iter().map(cells)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..HEADER.len()).map(width).collect();
    for line in &lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            // Columns of numbers are aligned to the right.
            if (3..8).contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

fn cells(row: &Row) -> [String; 10] {
    let ratio = |above: Option<f64>, below: Option<f64>| match (above, below) {
        (Some(above), Some(below)) if below > 0.0 => figure(above / below),
        _ => String::new(),
    };
    let met = row.met.map_or("", |met| if met { "yes" } else { "NO" });
    [
        row.id.clone(),
        row.work.clone(),
        row.unit.into(),
        row.ours.map_or(String::new(), figure),
        row.peer.map_or(String::new(), figure),
        row.floor.map_or(String::new(), figure),
        ratio(row.ours, row.floor),
        ratio(row.peer, row.ours),
        row.target.into(),
        met.into(),
    ]
}

/// Returns a figure with three significant digits: more would pretend a precision that is not there.
fn figure(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
