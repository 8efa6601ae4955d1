//! Names for addresses of this program, with the feature `stack`. Without it, addresses are written in the form that
//! `addr2line` accepts.
//!
//! Called by the report of a late poll.

use std::fmt;

use crate::sys::stack::write_module;

/// The runtime's own code, in which a poll begins.
#[cfg(feature = "stack")]
const BELOW_THE_TASK: &str = "redd::task::cell::";

/// Writes a line for each function at the address, which with inlining can be several. Returns false at the first
/// function that does not belong to the task.
pub(crate) fn write(f: &mut fmt::Formatter<'_>, address: usize) -> Result<bool, fmt::Error> {
    #[cfg(feature = "stack")]
    {
        write_functions(f, address)
    }
    #[cfg(not(feature = "stack"))]
    write_module(f, address)
}

#[cfg(feature = "stack")]
fn write_functions(f: &mut fmt::Formatter<'_>, address: usize) -> Result<bool, fmt::Error> {
    let mut written = Ok(true);
    backtrace::resolve(address as *mut _, |symbol| {
        if written == Ok(true) {
            written = write_symbol(f, address, symbol);
        }
    });
    written
}

#[cfg(feature = "stack")]
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
