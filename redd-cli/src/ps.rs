//! `redd ps`: the processes that can be asked.

use serde_json::Value;

use crate::attach;
use crate::process;

/// A line for each process. One that may not be asked has no numbers.
pub(crate) fn list() -> String {
    let mut rows = vec![["PID", "USER", "RUNTIMES", "TASKS", "COMMAND"].map(str::to_owned)];
    for pid in process::all() {
        if process::taker(pid).is_none() {
            continue;
        }
        let Some(user) = process::user(pid) else { continue };
        let (runtimes, tasks) = match attach::ask(pid, "info").ok().and_then(|text| counts(&text)) {
            Some((runtimes, tasks)) => (runtimes.to_string(), tasks.to_string()),
            None => ("-".to_owned(), "-".to_owned()),
        };
        rows.push([pid.to_string(), process::user_name(user.uid), runtimes, tasks, process::command(pid)]);
    }
    table(&rows)
}

fn counts(text: &[u8]) -> Option<(usize, u64)> {
    let info: Value = serde_json::from_slice(text).ok()?;
    let runtimes = info["runtimes"].as_array()?;
    Some((runtimes.len(), runtimes.iter().filter_map(|runtime| runtime["tasks"].as_u64()).sum()))
}

/// Columns as wide as their longest value; numbers are at the right.
fn table(rows: &[[String; 5]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [0, 1, 2, 3].map(width);
    let [pid_width, user_width, runtimes_width, tasks_width] = widths;
    let line = |[pid, user, runtimes, tasks, command]: &[String; 5]| {
        format!("{pid:>pid_width$} {user:<user_width$} {runtimes:>runtimes_width$} {tasks:>tasks_width$} {command}\n")
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_all_runtimes_are_added_and_columns_are_aligned() {
        assert_eq!(counts(br#"{"runtimes":[{"tasks":2},{"tasks":40}]}"#), Some((2, 42)));
        assert_eq!(counts(b"text"), None);
        let row = |words: [&str; 5]| words.map(str::to_owned);
        let text = table(&[row(["PID", "USER", "R", "TASKS", "COMMAND"]), row(["10", "longer", "1", "7", "./a b"])]);
        assert_eq!(text, "PID USER   R TASKS COMMAND\n 10 longer 1     7 ./a b\n");
    }
}
