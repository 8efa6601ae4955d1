//! Whether this process runs under an emulator of another processor, such as qemu's for single programs.
//!
//! Called by `thread`, and by tests, also below `redd/tests`, that an emulator cannot run or an interpreter not so often.

use std::sync::OnceLock;

/// The emulator answers a program's questions about its own file, and not those about the file of one of its threads.
pub(crate) fn is_emulated() -> bool {
    static IS_EMULATED: OnceLock<bool> = OnceLock::new();
    let link = |path| std::fs::read_link(path).ok();
    *IS_EMULATED.get_or_init(|| link("/proc/self/exe") != link("/proc/thread-self/exe"))
}

/// How often a test repeats what it does `usual` times. An emulator is some ten times slower than the machine, Miri some
/// thousand times.
#[cfg(test)]
#[allow(dead_code, reason = "each program uses its part")]
pub(crate) fn rounds(usual: u32) -> u32 {
    match (cfg!(miri), is_emulated()) {
        (true, _) => usual.div_ceil(100),
        (false, true) => usual.div_ceil(10),
        (false, false) => usual,
    }
}

/// True under an emulator, and then the reason is printed, past the test harness.
#[cfg(test)]
#[allow(dead_code, reason = "each program uses its part")]
pub(crate) fn skips(test: &str, why: &str) -> bool {
    use std::io::Write as _;
    let skips = is_emulated();
    if skips {
        let _ = writeln!(std::io::stdout(), "SKIPPED under an emulator: {test}: {why}");
    }
    skips
}
