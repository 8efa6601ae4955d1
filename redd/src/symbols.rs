//! Names for addresses of this program, with the feature `stack`. Without it they are told as `addr2line` takes them
//! (`lib.rs` has the twin).
//!
//! Called by `scheduler::rescue::report`.

use std::fmt;

use crate::sys::stack::write_module;

/// The runtime's own code, in which a poll begins.
const BELOW_THE_TASK: &str = "redd::task::cell::";

/// A line for each function that the address is in: with inlining, that can be several. False at the first that is not
/// the task's.
pub(crate) fn write(f: &mut fmt::Formatter<'_>, address: usize) -> Result<bool, fmt::Error> {
    let mut written = Ok(true);
    backtrace::resolve(address as *mut _, |symbol| {
        if written == Ok(true) {
            written = write_symbol(f, address, symbol);
        }
    });
    written
}

fn write_symbol(f: &mut fmt::Formatter<'_>, address: usize, symbol: &backtrace::Symbol) -> Result<bool, fmt::Error> {
    let Some(name) = symbol.name().map(|name| format!("{name:#}")) else {
        return write_module(f, address);
    };
    if name.contains(BELOW_THE_TASK) {
        return Ok(false);
    }
    write!(f, "\n    {name}")?;
    if let (Some(file), Some(line)) = (symbol.filename(), symbol.lineno()) {
        write!(f, " at {}:{line}", file.display())?;
    }
    Ok(true)
}
