//! The picture of the chapter `docs/guide/how-it-works.md`: the parts of a runtime, and what passes between them.
//!
//! Called by the lane `book`, which compares it with the committed file, and by `cargo xtask book --write`, which writes that.

use std::fmt::Write as _;

/// The committed picture.
pub(crate) const PICTURE: &str = "docs/guide/how-it-works.svg";

const WIDTH: u32 = 900;
const HEIGHT: u32 = 545;

/// A part: left, top, width and height, and its lines of text. The first one is its name.
struct Part {
    at: [u32; 4],
    lines: &'static [&'static str],
    look: Look,
}

#[derive(Clone, Copy)]
enum Look {
    Plain,
    /// A place within another part.
    Inner,
    /// There only when it is needed.
    Dashed,
    /// Not in the process, or not redd's.
    Outside,
}

const PARTS: &[Part] = &[
    Part { at: [20, 15, 860, 40], lines: &["your program: spawn, await, wake"], look: Look::Outside },
    Part { at: [320, 105, 260, 48], lines: &["injector", "tasks from other threads"], look: Look::Plain },
    Part { at: [620, 105, 260, 48], lines: &["monitor", "finds blocked workers"], look: Look::Plain },
    Part { at: [20, 205, 260, 140], lines: &["worker 0", "the loop: choose a task, poll it"], look: Look::Plain },
    Part { at: [34, 263, 110, 30], lines: &["LIFO slot"], look: Look::Inner },
    Part { at: [156, 263, 110, 30], lines: &["run queue"], look: Look::Inner },
    Part { at: [34, 304, 232, 30], lines: &["timer wheel"], look: Look::Inner },
    Part { at: [320, 205, 260, 140], lines: &["worker 1", "the same loop"], look: Look::Plain },
    Part { at: [334, 263, 110, 30], lines: &["LIFO slot"], look: Look::Inner },
    Part { at: [456, 263, 110, 30], lines: &["run queue"], look: Look::Inner },
    Part { at: [334, 304, 232, 30], lines: &["timer wheel"], look: Look::Inner },
    Part {
        at: [620, 205, 260, 140],
        lines: &["spare worker", "the same loop, in the place", "of a worker that is blocked"],
        look: Look::Dashed,
    },
    Part { at: [20, 395, 260, 48], lines: &["task slab", "one slot for each task"], look: Look::Plain },
    Part { at: [320, 395, 260, 48], lines: &["driver", "one epoll; one worker waits in it"], look: Look::Plain },
    Part { at: [620, 395, 260, 48], lines: &["blocking pool", "closures, and files on a disk"], look: Look::Dashed },
    Part { at: [20, 485, 260, 48], lines: &["attach thread", "sleeps until it is asked"], look: Look::Plain },
    Part { at: [320, 485, 260, 48], lines: &["redd dump PID", "another process"], look: Look::Outside },
];

/// An arrow: from, to, and its text with the place where that begins.
struct Arrow {
    from: [u32; 2],
    to: [u32; 2],
    text: &'static str,
    text_at: [u32; 2],
}

const ARROWS: &[Arrow] = &[
    Arrow { from: [150, 55], to: [150, 203], text: "spawn and wake on a worker", text_at: [158, 85] },
    Arrow { from: [450, 55], to: [450, 103], text: "from outside", text_at: [458, 85] },
    Arrow { from: [380, 153], to: [240, 203], text: "", text_at: [0, 0] },
    Arrow { from: [450, 153], to: [450, 203], text: "", text_at: [0, 0] },
    Arrow { from: [750, 153], to: [750, 203], text: "calls", text_at: [758, 183] },
    Arrow { from: [320, 278], to: [268, 278], text: "steals", text_at: [279, 257] },
    Arrow { from: [150, 345], to: [150, 393], text: "polls the task in its slot", text_at: [158, 375] },
    Arrow { from: [450, 345], to: [450, 393], text: "waits for I/O", text_at: [458, 375] },
    Arrow { from: [560, 345], to: [660, 393], text: "spawn_blocking", text_at: [635, 375] },
    Arrow { from: [150, 485], to: [150, 445], text: "reads, stops nothing", text_at: [158, 470] },
    Arrow { from: [320, 509], to: [282, 509], text: "", text_at: [0, 0] },
];

/// The picture, as an SVG.
pub(crate) fn picture() -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>The parts of a runtime</title>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <path d=\"M0 0 8 4 0 8z\"/></marker></defs>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    for part in PARTS {
        draw_part(&mut svg, part);
    }
    for Arrow { from: [x, y], to: [to_x, to_y], text, text_at: [text_x, text_y] } in ARROWS {
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" y1=\"{y}\" x2=\"{to_x}\" y2=\"{to_y}\" stroke=\"#222\" marker-end=\"url(#tip)\"/>"
        );
        if !text.is_empty() {
            let _ = writeln!(svg, "<text x=\"{text_x}\" y=\"{text_y}\" fill=\"#444\" font-size=\"12\">{text}</text>");
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw_part(svg: &mut String, part: &Part) {
    let [x, y, width, height] = part.at;
    let (fill, more) = match part.look {
        Look::Plain => ("#e8f0f8", ""),
        Look::Inner => ("#fff", ""),
        Look::Dashed => ("#e8f0f8", " stroke-dasharray=\"5 4\""),
        Look::Outside => ("#f4f4f4", ""),
    };
    let _ = writeln!(
        svg,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"5\" fill=\"{fill}\" stroke=\"#456\"{more}/>"
    );
    for (index, line) in part.lines.iter().enumerate() {
        let weight = if index == 0 && !matches!(part.look, Look::Inner) { " font-weight=\"bold\"" } else { "" };
        let (center, base) = (x + width / 2, y + 20 + 18 * u32::try_from(index).unwrap_or(0));
        // A part with one line has it in its middle.
        let base = if part.lines.len() == 1 { y + height / 2 + 5 } else { base };
        let _ = writeln!(svg, "<text x=\"{center}\" y=\"{base}\" text-anchor=\"middle\"{weight}>{line}</text>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_arrow_begins_and_ends_at_a_part() {
        let is_near = |[x, y]: [u32; 2]| {
            PARTS.iter().any(|Part { at: [left, top, width, height], .. }| {
                (left.saturating_sub(3)..=left + width + 3).contains(&x)
                    && (top.saturating_sub(3)..=top + height + 3).contains(&y)
            })
        };
        for arrow in ARROWS {
            assert!(is_near(arrow.from) && is_near(arrow.to), "{:?} to {:?}", arrow.from, arrow.to);
        }
    }

    #[test]
    fn parts_are_within_the_picture() {
        for Part { at: [left, top, width, height], lines, .. } in PARTS {
            assert!(left + width <= WIDTH && top + height <= HEIGHT, "{lines:?}");
        }
    }
}
