//! `bench heartbeat-plot`: the picture of a service that goes on while its workers are blocked, and the values it is drawn from.
//!
//! The program is `beats` of `workloads/blockers.rs`. Each run is a process of its own, and the two runtimes take turns.
//! The README's table takes its first row from the same values (`xtask/src/tidy/numbers.rs`).

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::blockers::{Binaries, ask};
use crate::machine::{Machine, load};
use crate::workspace;

const RUNS: usize = 9;
/// Beats are 2 ms apart. A longer distance counts as silence, and a shorter one cannot be seen in the picture.
const SILENCE_US: u64 = 5000;

/// What was measured.
#[derive(Serialize, Deserialize)]
struct Beats {
    machine: Machine,
    redd: Vec<Run>,
    tokio: Vec<Run>,
}

/// One run. All times are in microseconds after its start.
#[derive(Serialize, Deserialize)]
struct Run {
    blocked_from_us: u64,
    blocked_to_us: u64,
    longest_silence_us: u64,
    /// The pairs of beats that are far apart.
    silences_us: Vec<(u64, u64)>,
}

impl Run {
    fn of(found: &Value) -> Result<Self, String> {
        let time = |name: &str| found[name].as_u64().ok_or(format!("no `{name}` in {found}"));
        let beats: Vec<u64> = found["beats_us"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        let pairs = beats.windows(2).map(|pair| (pair[0], pair[1]));
        let longest = pairs.clone().map(|(from, to)| to - from).max();
        Ok(Self {
            blocked_from_us: time("from_us")?,
            blocked_to_us: time("to_us")?,
            longest_silence_us: longest.ok_or(format!("fewer than two beats in {found}"))?,
            silences_us: pairs.filter(|(from, to)| to - from > SILENCE_US).collect(),
        })
    }
}

/// Measures, and writes `heartbeat.json` and `heartbeat.svg`; `--redraw` only draws what was measured before.
pub fn plot(args: impl Iterator<Item = String>) -> Result<(), String> {
    let mut args = args.peekable();
    let redraws = args.next_if(|arg| arg == "--redraw").is_some();
    let folder =
        args.next().map_or_else(|| workspace().map(|bench| bench.join("../docs/guide")), |folder| Ok(folder.into()))?;
    let (values, picture) = files(&folder);
    let failed = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    if !redraws {
        let json = serde_json::to_string(&measure()?).map_err(|error| failed(&values, &error))?;
        // A line for each run.
        let json = json.replace("{\"blocked", "\n{\"blocked") + "\n";
        std::fs::write(&values, json).map_err(|error| failed(&values, &error))?;
        println!("wrote {}", values.display());
    }
    std::fs::write(&picture, svg(&read(&values)?)).map_err(|error| failed(&picture, &error))?;
    println!("wrote {}", picture.display());
    Ok(())
}

fn files(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("heartbeat.json"), folder.join("heartbeat.svg"))
}

fn read(path: &Path) -> Result<Beats, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn measure() -> Result<Beats, String> {
    let binaries = Binaries::build()?;
    let mut beats = Beats { machine: Machine::describe(&workspace()?), redd: Vec::new(), tokio: Vec::new() };
    for _ in 0..RUNS {
        beats.redd.push(Run::of(&ask(&binaries.redd, &["beats"])?)?);
        beats.tokio.push(Run::of(&ask(&binaries.tokio, &["beats"])?)?);
    }
    beats.machine.load_after = load();
    Ok(beats)
}

const WIDTH: f64 = 830.0;
const LEFT: f64 = 24.0;
/// The width of the shown time.
const TIME: f64 = WIDTH - 2.0 * LEFT;
const SHOWN_MS: f64 = 700.0;
/// Of a run, and of the bar in it.
const ROW: f64 = 11.0;
const BAR: f64 = 8.0;
/// Where the first panel begins, and how much is above and below the runs of a panel.
const TOP: f64 = 44.0;
const TITLE: f64 = 30.0;
const SPACE: f64 = 14.0;

/// Both schemes have a background of their own, since a page can be dark where the reader's system is light.
const STYLE: &str = "<style>.page { fill: #ffffff; stroke: #d1d9e0 } text { fill: #1f2328 } .note { fill: #59636e; font-size: 13px } .title { font-weight: 600 } .blocked { stroke: #9a6700; fill: none } .goes-on { fill: #2f81f7 } .silent { fill: #d1242f } .silence { fill: #d1242f; font-weight: 600 } @media (prefers-color-scheme: dark) { .page { fill: #0d1117; stroke: #3d444d } text { fill: #f0f6fc } .note { fill: #9198a1 } .blocked { stroke: #d29922 } .silent { fill: #f85149 } .silence { fill: #ff7b72 } }</style>\n";

/// Every run is a bar that changes its colour where the service was silent; one panel for each runtime.
fn svg(beats: &Beats) -> String {
    let panel_height = TITLE + RUNS as f64 * ROW + SPACE;
    let height = TOP + 2.0 * panel_height + 30.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"15\" role=\"img\" aria-label=\"A heartbeat on redd and on Tokio while both workers are blocked for 300 ms\">\n{STYLE}<rect class=\"page\" x=\".5\" y=\".5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n<text x=\"{LEFT}\" y=\"28\" class=\"title\" font-size=\"16\">Two tasks block both workers for 300 ms. Does the rest of the service go on?</text>\n",
        WIDTH - 1.0,
        height - 1.0,
    );
    let (from, to) = beats.redd.first().map_or((0, 0), |run| (run.blocked_from_us, run.blocked_to_us));
    bracket(&mut svg, x(from), x(to));
    let tokio = format!("Tokio {}", beats.machine.tokio);
    for (index, (name, runs)) in [("redd", &beats.redd), (tokio.as_str(), &beats.tokio)].into_iter().enumerate() {
        panel(&mut svg, name, runs, TOP + index as f64 * panel_height);
    }
    for ms in (0..=7).map(|step| step * 100) {
        let (anchor, unit) = match ms {
            0 => ("start", ""),
            700 => ("end", " ms"),
            _ => ("middle", " ms"),
        };
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"{anchor}\" class=\"note\">{ms}{unit}</text>",
            x(ms * 1000),
            height - 16.0,
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// When the workers are blocked: above the panels, and the same in all runs but for some microseconds.
fn bracket(svg: &mut String, from: f64, to: f64) {
    let _ = writeln!(
        svg,
        "<path class=\"blocked\" d=\"M{from:.1} {:.0} v-7 H{to:.1} v7\"/>\n<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\" class=\"note\">blocked in thread::sleep</text>",
        TOP + TITLE - 4.0,
        (from + to) / 2.0,
        TOP + TITLE - 17.0,
    );
}

fn x(us: u64) -> f64 {
    LEFT + (us as f64 / 1000.0 / SHOWN_MS).min(1.0) * TIME
}

fn panel(svg: &mut String, name: &str, runs: &[Run], top: f64) {
    let mut silences: Vec<u64> = runs.iter().map(|run| run.longest_silence_us).collect();
    silences.sort_unstable();
    let ms = |us: u64| (us as f64 / 1000.0).round();
    let (least, most) = (silences.first().copied().unwrap_or(0), silences.last().copied().unwrap_or(0));
    let median = silences.get(silences.len() / 2).copied().unwrap_or(0);
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.0}\"><tspan class=\"title\">{name}</tspan><tspan class=\"silence\" dx=\"8\">silent for {} ms</tspan></text>\n<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\" class=\"note\">median of {} runs, {} to {} ms</text>",
        top + 20.0,
        ms(median),
        WIDTH - LEFT,
        top + 20.0,
        runs.len(),
        ms(least),
        ms(most)
    );
    for (index, run) in runs.iter().enumerate() {
        let y = top + TITLE + index as f64 * ROW;
        let mut begin = 0;
        let shown = run.silences_us.iter().filter(|(from, _)| (*from as f64) < SHOWN_MS * 1000.0);
        let ends = shown.copied().chain([(SHOWN_MS as u64 * 1000, 0)]);
        for (from, to) in ends {
            bar(svg, "goes-on", y, begin, from);
            if to > from {
                bar(svg, "silent", y, from, to);
            }
            begin = to;
        }
    }
}

fn bar(svg: &mut String, class: &str, y: f64, from: u64, to: u64) {
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{:.1}\" y=\"{y:.0}\" width=\"{:.1}\" height=\"{BAR}\"/>",
        x(from),
        x(to) - x(from)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(beats: &[u64]) -> Run {
        Run::of(&serde_json::json!({ "from_us": 10, "to_us": 20, "beats_us": beats })).expect("all is there")
    }

    #[test]
    fn a_silence_is_a_long_distance_between_two_beats() {
        let run = run(&[0, 2000, 9000, 11_000, 17_000]);
        assert_eq!(run.silences_us, [(2000, 9000), (11_000, 17_000)]);
        assert_eq!(run.longest_silence_us, 7000);
    }

    #[test]
    fn a_run_without_beats_is_an_error() {
        assert!(Run::of(&serde_json::json!({ "from_us": 10, "to_us": 20, "beats_us": [1] })).is_err());
    }

    /// The picture in the guide is drawn from the values beside it, not by hand.
    #[test]
    fn the_picture_in_the_guide_is_drawn_from_the_values_beside_it() {
        let (values, picture) = files(&workspace().expect("it runs in the repository").join("../docs/guide"));
        let drawn = svg(&read(&values).expect("the values are there"));
        assert_eq!(drawn, std::fs::read_to_string(picture).expect("the picture is there"), "`heartbeat-plot --redraw`");
    }
}
