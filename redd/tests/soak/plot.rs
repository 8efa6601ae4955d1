//! The samples as a table and as a plot.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::Sample;

/// Writes `soak.csv` and `soak.svg` into the folder `soak` of the target folder.
pub(crate) fn write(samples: &[Sample], seed: u64) {
    // This program is in `release/deps`.
    let program = std::env::current_exe().unwrap();
    let folder = program.ancestors().nth(3).map_or_else(|| PathBuf::from("soak"), |target| target.join("soak"));
    std::fs::create_dir_all(&folder).unwrap();
    let mut csv = String::from("seconds,requests,p50_ms,p99_ms,rss_kib,threads,descriptors\n");
    for sample in samples {
        let Sample { seconds, requests, p50_ms, p99_ms, rss_kib, threads, descriptors } = sample;
        writeln!(csv, "{seconds:.1},{requests},{p50_ms:.3},{p99_ms:.3},{rss_kib},{threads},{descriptors}").unwrap();
    }
    std::fs::write(folder.join("soak.csv"), csv).unwrap();
    std::fs::write(folder.join("soak.svg"), svg(samples, seed)).unwrap();
    println!("written: soak.csv and soak.svg in {}", folder.display());
}

type Series = (&'static str, &'static str, fn(&Sample) -> f64);

const PANELS: [(&str, &[Series]); 3] = [
    ("latency, ms", &[("p99", "#d97706", |s| s.p99_ms), ("p50", "#2563eb", |s| s.p50_ms)]),
    ("resident memory, MiB", &[("service", "#2563eb", |s| s.rss_kib as f64 / 1024.0)]),
    (
        "threads and descriptors",
        &[("descriptors", "#2563eb", |s| s.descriptors as f64), ("threads", "#d97706", |s| s.threads as f64)],
    ),
];

/// Draws three panels, one below the other, readable on light and dark backgrounds.
fn svg(samples: &[Sample], seed: u64) -> String {
    const WIDTH: f64 = 760.0;
    const HEIGHT: f64 = 130.0;
    const LEFT: f64 = 60.0;
    let end = samples.last().map_or(1.0, |sample| sample.seconds);
    let requests: u64 = samples.iter().map(|sample| sample.requests).sum();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <g fill=\"#808080\"><text x=\"{LEFT}\" y=\"18\">soak: {end:.0} s, {requests} requests, seed {seed}</text></g>\n",
        LEFT + WIDTH + 20.0,
        3.0 * (HEIGHT + 50.0) + 30.0
    );
    for (index, (title, series)) in PANELS.iter().enumerate() {
        let top = 50.0 + index as f64 * (HEIGHT + 50.0);
        let most =
            samples.iter().flat_map(|sample| series.iter().map(move |(_, _, of)| of(sample))).fold(0.0, f64::max);
        let most = if most > 0.0 { most } else { 1.0 };
        writeln!(
            svg,
            "<g fill=\"#808080\"><text x=\"{LEFT}\" y=\"{}\">{title}</text><text x=\"{}\" y=\"{}\" \
             text-anchor=\"end\">{most:.1}</text><text x=\"{}\" y=\"{}\" text-anchor=\"end\">0</text></g>\n\
             <path d=\"M{LEFT} {top}v{HEIGHT}h{WIDTH}\" fill=\"none\" stroke=\"#808080\"/>",
            top - 8.0,
            LEFT - 6.0,
            top + 10.0,
            LEFT - 6.0,
            top + HEIGHT
        )
        .unwrap();
        for (place, (name, colour, of)) in series.iter().enumerate() {
            let points: Vec<String> = samples
                .iter()
                .map(|sample| {
                    let (x, y) = (LEFT + sample.seconds / end * WIDTH, top + HEIGHT - of(sample) / most * HEIGHT);
                    format!("{x:.1},{y:.1}")
                })
                .collect();
            writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\"/>\n<text x=\"{}\" y=\"{}\" \
                 fill=\"{colour}\" text-anchor=\"end\">{name}</text>",
                points.join(" "),
                LEFT + WIDTH - 90.0 * place as f64,
                top - 8.0
            )
            .unwrap();
        }
    }
    svg + "</svg>\n"
}
