//! Prints rows as a table, and below it in full what failed.

use crate::rows::{Figure, Row};

const HEADER: [&str; 11] = [
    "",
    "work",
    "unit",
    "published",
    "adapted",
    "direct",
    "floor",
    "adapted/floor",
    "direct/floor",
    "published/adapted",
    "published/direct",
];

pub fn print(rows: &[Row]) {
    let lines: Vec<_> = std::iter::once(HEADER.map(String::from)).chain(rows.iter().map(cells)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..HEADER.len()).map(width).collect();
    for line in &lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            // Columns of figures are aligned to the right.
            if column >= 3 { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    let mut told = Vec::new();
    for row in rows {
        for (side, figure) in [
            ("published", &row.published),
            ("adapted", &row.adapted),
            ("direct", &row.direct),
            ("floor", &row.floor),
        ] {
            if let Figure::Failed(how) = figure {
                let line = format!("{} of {}: {how}", row.id, side);
                if !told.contains(&line) {
                    told.push(line);
                }
            }
        }
    }
    if !told.is_empty() {
        println!("\nWhat failed:\n{}", told.join("\n"));
    }
}

fn cells(row: &Row) -> [String; 11] {
    let ratio = |above: &Figure, below: &Figure| match (above.number(), below.number()) {
        (Some(above), Some(below)) if below > 0.0 => number(above / below),
        _ => String::new(),
    };
    [
        row.id.clone(),
        row.work.clone(),
        row.unit.clone(),
        cell(&row.published),
        cell(&row.adapted),
        cell(&row.direct),
        cell(&row.floor),
        ratio(&row.adapted, &row.floor),
        ratio(&row.direct, &row.floor),
        ratio(&row.published, &row.adapted),
        ratio(&row.published, &row.direct),
    ]
}

fn cell(figure: &Figure) -> String {
    match figure {
        Figure::None => String::new(),
        Figure::Number(value) => number(*value),
        Figure::Passed => "passes".into(),
        Figure::Failed(_) => "FAILS".into(),
    }
}

/// Returns a figure with three significant digits: more would pretend a precision that is not there.
fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
