//! The version of Tokio that the facade has, and the record of its API.
//!
//! Called by `lanes`, `suites`, `switch`, `track` and `tidy`.

/// The tracked version: the newest Tokio whose API the facade has. The facade has the same version.
pub(crate) const TOKIO: &str = "1.54.1";

/// The record of Tokio's API.
pub(crate) const RECORD: &str = "xtask/api/tokio-1.54.1.txt";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_and_facade_have_the_tracked_version() {
        assert_eq!(RECORD, format!("xtask/api/tokio-{TOKIO}.txt"));
        let facade = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../tokio/Cargo.toml"));
        let facade = facade.expect("the facade's manifest can be read");
        assert!(facade.contains(&format!("\nversion = \"{TOKIO}\"\n")), "{facade}");
    }
}
