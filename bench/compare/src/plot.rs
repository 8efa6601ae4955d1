//! Plots as SVG, without a library: bars of ratios, and lines on a logarithmic axis.

use std::fmt::Write;

use crate::measure::{Row, Runtime};

fn colour(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Redd => "#c0392b",
        Runtime::Tokio => "#34607f",
        Runtime::Smol => "#7f8c3a",
        Runtime::Floor => "#777777",
    }
}

fn open(width: f64, height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<title>{title}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"20\" font-size=\"14\" font-weight=\"bold\">{title}</text>\n"
    )
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), stroke: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{stroke}\"/>",
        from.0, from.1, to.0, to.1
    );
}

/// One bar for each row: the ratio of redd's CPU time (or bytes) to Tokio's, with minimum and maximum of the rounds.
pub fn ratios(rows: &[Row]) -> String {
    const LEFT: f64 = 230.0;
    const UNIT: f64 = 360.0;
    let known: Vec<_> = rows
        .iter()
        .filter_map(|row| Some((row.name.as_str(), row.ratio(Runtime::Tokio, row.main_metric())?)))
        .filter(|(_, ratio)| ratio.median.is_finite())
        .collect();
    let height = 60.0 + known.len() as f64 * 18.0;
    let mut svg =
        open(LEFT + UNIT * 1.5 + 60.0, height, "CPU per operation or bytes per task, redd to Tokio (less is better)");
    let at = |ratio: f64| LEFT + ratio.min(1.5) * UNIT;
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5] {
        line(&mut svg, (at(tick), 44.0), (at(tick), height - 8.0), if tick == 1.0 { "#000000" } else { "#dddddd" });
        text(&mut svg, at(tick), 40.0, "middle", &tick.to_string());
    }
    for (place, (name, ratio)) in known.iter().enumerate() {
        let y = 50.0 + place as f64 * 18.0;
        text(&mut svg, LEFT - 6.0, y + 11.0, "end", name);
        let fill = if ratio.median > 1.0 { "#e3a29a" } else { "#9cbfa2" };
        let _ = writeln!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"13\" fill=\"{fill}\"/>",
            at(ratio.median) - LEFT
        );
        line(&mut svg, (at(ratio.min), y + 6.5), (at(ratio.max), y + 6.5), "#333333");
        text(&mut svg, at(ratio.max.max(ratio.median)) + 5.0, y + 11.0, "start", &format!("{:.2}", ratio.median));
    }
    svg.push_str("</svg>\n");
    svg
}

/// A plot of the rows whose names are `prefix`, a number, `suffix`; both axes logarithmic.
pub fn scaling(rows: &[Row], title: &str, parts: (&str, &str), metric: &str, unit: &str) -> Option<String> {
    let points = |runtime| -> Vec<(f64, f64)> {
        let number = |row: &Row| row.name.strip_prefix(parts.0)?.strip_suffix(parts.1)?.parse().ok();
        let mut points: Vec<(f64, f64)> =
            rows.iter().filter_map(|row| Some((number(row)?, row.spread(runtime, metric)?.median))).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let lines: Vec<_> = Runtime::ALL
        .into_iter()
        .map(|runtime| (runtime, points(runtime)))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let all: Vec<(f64, f64)> = lines.iter().flat_map(|(_, points)| points.iter().copied()).collect();
    let bounds = |pick: fn(&(f64, f64)) -> f64| {
        let values = all.iter().map(pick);
        Some((values.clone().reduce(f64::min)?, values.reduce(f64::max)?))
    };
    let (low_x, high_x) = bounds(|point| point.0)?;
    let (low_y, high_y) = bounds(|point| point.1)?;
    if low_x >= high_x || low_y <= 0.0 {
        return None;
    }
    let (low_y, high_y) = (low_y * 0.8, high_y * 1.2);
    let part = |value: f64, low: f64, high: f64| (value / low).ln() / (high / low).ln();
    let place = |(x, y): (f64, f64)| (70.0 + 480.0 * part(x, low_x, high_x), 300.0 - 240.0 * part(y, low_y, high_y));
    let mut svg = open(680.0, 340.0, title);
    for step in 0..=4 {
        let value = low_y * (high_y / low_y).powf(f64::from(step) / 4.0);
        let (left, y) = place((low_x, value));
        line(&mut svg, (left, y), (550.0, y), "#dddddd");
        text(&mut svg, 64.0, y + 4.0, "end", &format!("{value:.0}"));
    }
    text(&mut svg, 70.0, 48.0, "start", unit);
    for &(x, _) in &lines[0].1 {
        text(&mut svg, place((x, low_y)).0, 318.0, "middle", &x.to_string());
    }
    for (runtime, points) in &lines {
        let path: Vec<String> =
            points.iter().map(|point| place(*point)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>",
            path.join(" "),
            colour(*runtime)
        );
        let (x, y) = place(points[points.len() - 1]);
        text(&mut svg, x + 6.0, y + 4.0, "start", runtime.name());
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

/// Bars of one metric, a bar for each runtime, for each of the rows.
pub fn groups(rows: &[&Row], title: &str, metric: &str, unit: &str) -> Option<String> {
    let value = |row: &Row, runtime| row.spread(runtime, metric).map(|spread| spread.median);
    let high = rows
        .iter()
        .flat_map(|row| Runtime::ALL.into_iter().filter_map(|runtime| value(row, runtime)))
        .reduce(f64::max)
        .filter(|high| *high > 0.0)?;
    let bars: usize =
        rows.iter().map(|row| Runtime::ALL.iter().filter(|runtime| value(row, **runtime).is_some()).count()).sum();
    let height = 50.0 + bars as f64 * 15.0 + rows.len() as f64 * 8.0;
    let mut svg = open(760.0, height, &format!("{title} ({unit}, less is better)"));
    let mut y = 40.0;
    for row in rows {
        text(&mut svg, 204.0, y + 11.0, "end", &row.name);
        for runtime in Runtime::ALL {
            let Some(value) = value(row, runtime) else { continue };
            let width = value / high * 400.0;
            let _ = writeln!(
                svg,
                "<rect x=\"210\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"12\" fill=\"{}\"/>",
                colour(runtime)
            );
            text(&mut svg, 216.0 + width, y + 10.5, "start", &format!("{} {value:.0}", runtime.name()));
            y += 15.0;
        }
        y += 8.0;
    }
    svg.push_str("</svg>\n");
    Some(svg)
}
