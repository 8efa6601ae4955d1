//! The forms in which results are written.
//!
//! Called by `delivery`. Pure.

mod csv;
mod html;
mod json;
mod junit;
mod markdown;
mod sarif;

use crate::options::Format;
use crate::report;
use crate::results::Results;

/// The results in a form.
pub(crate) fn render(format: Format, results: &Results<'_>) -> String {
    match format {
        Format::Text => report::summary(results),
        Format::Json => json::render(results),
        Format::Csv => csv::render(results),
        Format::Junit => junit::render(results),
        Format::Markdown => markdown::render(results),
        Format::Sarif => sarif::render(results),
        Format::Html => html::render(results),
    }
}
