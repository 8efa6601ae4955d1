//! A row, its costs, and the program that runs one.
//!
//! A binary runs one row: `on-redd ROW OPERATIONS [counts]`, and prints one line of JSON with what it cost.

use super::costs::{self, Costs};

/// A row: its name, a first estimate of the number of operations, and the program.
pub type Row = (&'static str, u64, fn(u64) -> Measure);

/// The costs of a row.
pub struct Measure {
    pub operations: u64,
    pub costs: Costs,
    /// For rows that measure memory: bytes per operation.
    pub bytes: f64,
    /// Other values of a row, by name.
    pub values: Vec<(&'static str, f64)>,
}

pub fn main(rows: Vec<Row>) {
    let mut args = std::env::args().skip(1);
    let Some(name) = args.next() else {
        for (name, operations, _) in rows {
            println!("{name} {operations}");
        }
        return;
    };
    let Some((_, default, run)) = rows.into_iter().find(|(row, _, _)| *row == name) else {
        eprintln!("no row is called `{name}`; without arguments this prints their names");
        std::process::exit(2);
    };
    let operations = args.next().and_then(|text| text.parse().ok()).unwrap_or(default);
    if args.next().as_deref() == Some("counts") {
        costs::count();
    }
    let measure = run(operations);
    let values: Vec<String> = measure.values.iter().map(|(name, value)| format!("\"{name}\":{value:.3}")).collect();
    println!(
        "{{\"operations\":{},{},\"bytes\":{},\"values\":{{{}}}}}",
        measure.operations,
        measure.costs.json(),
        measure.bytes,
        values.join(",")
    );
}
