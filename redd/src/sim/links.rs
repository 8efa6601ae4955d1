//! The network between the hosts of a world, as its script sets it.
//!
//! Called by `world` (before the run), `control` and `faults` (during it).

use std::ops::Range;
use std::time::Duration;

use crate::network::{Link, Network};
use crate::primitives::count::PlainCount;

/// One property of all links between hosts.
#[derive(Clone, Debug)]
pub(super) enum Setting {
    Latency(Range<Duration>),
    /// In bytes per second.
    Bandwidth(Option<u64>),
    Loss(f64),
    Reorder(f64),
    Duplicate(f64),
    /// The percentage of reads and writes that are short.
    ShortReads(u8),
}

impl Setting {
    /// Panics if the argument of the method, in back quotes, makes no sense.
    #[track_caller]
    pub(super) fn check(&self, method: &str) {
        match self {
            Self::Latency(range) => check_range(method, range),
            Self::Bandwidth(bandwidth) => assert!(
                *bandwidth != Some(0),
                "{method} got a bandwidth of 0, with which nothing arrives. Give bytes per second, or use `Control::partition`."
            ),
            Self::Loss(probability) | Self::Reorder(probability) | Self::Duplicate(probability) => assert!(
                (0.0..=1.0).contains(probability),
                "{method} got the probability {probability}. Give a number from 0.0 (never) to 1.0 (always)."
            ),
            Self::ShortReads(percent) => {
                assert!(
                    *percent <= 100,
                    "{method} got {percent} percent. Give a number from 0 (never) to 100 (always)."
                );
            }
        }
    }

    pub(super) fn apply(&self, network: &Network) {
        let set = |f: &mut dyn FnMut(&mut Link)| network.set_link(None, None, f);
        match self {
            Self::Latency(range) => set(&mut |link| link.latency = range.clone()),
            Self::Bandwidth(bandwidth) => set(&mut |link| link.bandwidth = *bandwidth),
            Self::Loss(probability) => set(&mut |link| link.loss = *probability),
            Self::Reorder(probability) => set(&mut |link| link.reorder = *probability),
            Self::Duplicate(probability) => set(&mut |link| link.duplicate = *probability),
            Self::ShortReads(percent) => network.set_short(*percent),
        }
    }

    /// In words, for the report.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Latency(range) if range.start == range.end => format!("packets take {:?}", range.start),
            Self::Latency(range) => format!("packets take {:?} to {:?}", range.start, range.end),
            Self::Bandwidth(None) => "the links have no limit of bandwidth".to_owned(),
            Self::Bandwidth(Some(rate)) => {
                format!("each link carries {} per second", PlainCount(*rate, "byte", "bytes"))
            }
            Self::Loss(probability) => format!("a packet is lost with probability {probability}"),
            Self::Reorder(probability) => format!("a datagram is overtaken with probability {probability}"),
            Self::Duplicate(probability) => format!("a datagram arrives twice with probability {probability}"),
            Self::ShortReads(percent) => format!("{percent} % of reads and writes are short"),
        }
    }

    fn is_same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// Panics if the range that the method, in back quotes, got ends before it starts.
#[track_caller]
pub(super) fn check_range(method: &str, range: &Range<Duration>) {
    assert!(
        range.start <= range.end,
        "{method} got the range {range:?}, which ends before it starts. Give the shorter time first."
    );
}

/// What the script has set so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings(Vec<Setting>);

impl Settings {
    pub(super) fn set(&mut self, setting: Setting) {
        self.0.retain(|other| !other.is_same_kind(&setting));
        self.0.push(setting);
    }

    pub(super) fn apply(&self, network: &Network) {
        self.0.iter().for_each(|setting| setting.apply(network));
    }

    /// The value that holds again when a fault of this kind ends.
    pub(super) fn instead_of(&self, fault: &Setting) -> Setting {
        let set = self.0.iter().find(|setting| setting.is_same_kind(fault));
        set.cloned().unwrap_or_else(|| {
            let link = Link::default();
            match fault {
                Setting::Latency(_) => Setting::Latency(link.latency),
                Setting::Bandwidth(_) => Setting::Bandwidth(link.bandwidth),
                Setting::Loss(_) => Setting::Loss(link.loss),
                Setting::Reorder(_) => Setting::Reorder(link.reorder),
                Setting::Duplicate(_) => Setting::Duplicate(link.duplicate),
                Setting::ShortReads(_) => Setting::ShortReads(0),
            }
        })
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_fault_ends_with_the_last_value_that_was_set_or_with_the_default() {
        let fault = Setting::Latency(Duration::from_secs(1)..Duration::from_secs(2));
        let mut settings = Settings::default();
        let after = |settings: &Settings| {
            let instead = settings.instead_of(&fault);
            if let Setting::Latency(range) = instead { range } else { panic!("{instead:?}") }
        };
        assert_eq!(after(&settings), Link::default().latency);
        for millis in [1, 3] {
            settings.set(Setting::Loss(0.5));
            settings.set(Setting::Latency(Duration::from_millis(millis)..Duration::from_millis(9)));
        }
        assert_eq!(after(&settings), Duration::from_millis(3)..Duration::from_millis(9));
        assert_eq!(settings.0.len(), 2);
    }
}
