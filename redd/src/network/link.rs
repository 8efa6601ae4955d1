//! The links between hosts: how long a packet takes, and whether it arrives.
//!
//! Called by `engine`, which sends packets, by `segments`, where they arrive, and by `handle`, which changes links.

use std::ops::Range;
use std::time::Duration;

use crate::primitives::rng::Rng;

/// How packets travel from one host to another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Link {
    /// The time that a packet takes. The seed chooses it within the range, so the range is the jitter.
    pub(crate) latency: Range<Duration>,
    /// In bytes per second.
    pub(crate) bandwidth: Option<u64>,
    /// The probability that a datagram is lost. A segment of a stream arrives later by a time-out instead. With 1.0, the link is a black
    /// hole for both.
    pub(crate) loss: f64,
    /// The probability that a datagram arrives later than others that were sent after it.
    pub(crate) reorder: f64,
    /// The probability that a datagram arrives twice.
    pub(crate) duplicate: f64,
    pub(crate) state: LinkState,
}

/// What a link does with packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    Up,
    /// Drops packets silently.
    BlackHole,
    /// Answers each packet with a reset.
    Refused,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(100)..Duration::from_millis(1),
            bandwidth: None,
            loss: 0.0,
            reorder: 0.0,
            duplicate: 0.0,
            state: LinkState::Up,
        }
    }
}

/// A link with what has happened on it.
#[derive(Debug)]
pub(super) struct LinkEntry {
    pub(super) link: Link,
    /// A partition separates the hosts.
    pub(super) is_cut: bool,
    /// Of this link alone (`own-choices`).
    rng: Rng,
    /// When the link has transmitted the packets that were sent so far.
    busy_until: u64,
}

impl LinkEntry {
    pub(super) fn state(&self) -> LinkState {
        if self.is_cut || self.link.loss >= 1.0 { LinkState::BlackHole } else { self.link.state }
    }

    /// Whether an event with this probability happens. Nothing is drawn for one that is impossible.
    pub(super) fn happens(&self, probability: f64) -> bool {
        probability > 0.0 && (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 <= probability
    }

    /// The time at which a packet of this length arrives that is sent now.
    pub(super) fn arrival(&mut self, now: u64, length: usize) -> u64 {
        let mut leaves = now;
        if let Some(bandwidth) = self.link.bandwidth {
            let takes = u128::from(length as u64) * 1_000_000_000 / u128::from(bandwidth.max(1));
            leaves = self.busy_until.max(now).saturating_add(u64::try_from(takes).unwrap_or(u64::MAX));
            self.busy_until = leaves;
        }
        leaves.saturating_add(self.latency())
    }

    /// The time that one packet takes, without its transmission.
    pub(super) fn latency(&self) -> u64 {
        let start = nanos(self.link.latency.start);
        let width = nanos(self.link.latency.end).saturating_sub(start);
        start.saturating_add(if width == 0 { 0 } else { self.rng.next_u64() % width })
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// All links of a world.
#[derive(Debug)]
pub(super) struct Links {
    seed: u64,
    default: Link,
    /// By the sending host, then by the receiving host.
    entries: Vec<Vec<LinkEntry>>,
}

impl Links {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, default: Link::default(), entries: Vec::new() }
    }

    /// Adds the links of one more host.
    pub(super) fn add_host(&mut self) {
        let new = self.entries.len();
        self.entries.push(Vec::new());
        for from in 0..=new {
            for to in self.entries[from].len()..=new {
                // Within a host nothing takes time.
                let link = if from == to {
                    Link { latency: Duration::ZERO..Duration::ZERO, ..Link::default() }
                } else {
                    self.default.clone()
                };
                let rng = Rng::new(self.seed ^ ((from as u64) << 32 | to as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                self.entries[from].push(LinkEntry { link, is_cut: false, rng, busy_until: 0 });
            }
        }
    }

    pub(super) fn get(&mut self, from: usize, to: usize) -> &mut LinkEntry {
        &mut self.entries[from][to]
    }

    /// Changes the links from and to these hosts; `None` is all of them. Links within a host change only if both hosts are named.
    pub(super) fn set(&mut self, from: Option<usize>, to: Option<usize>, f: &mut dyn FnMut(&mut Link)) {
        if let (None, None) = (from, to) {
            f(&mut self.default);
        }
        let is_named = |named: Option<usize>, host: usize| named.is_none_or(|named| named == host);
        for (source, row) in self.entries.iter_mut().enumerate().filter(|(source, _)| is_named(from, *source)) {
            for (target, entry) in row.iter_mut().enumerate().filter(|(target, _)| is_named(to, *target)) {
                if source != target || (from.is_some() && to.is_some()) {
                    f(&mut entry.link);
                }
            }
        }
    }

    /// Cuts the links between the hosts of both sets, in both directions.
    pub(super) fn cut(&mut self, a: &[usize], b: &[usize]) {
        for (one, other) in a.iter().flat_map(|one| b.iter().map(move |other| (*one, *other))) {
            if one != other {
                self.entries[one][other].is_cut = true;
                self.entries[other][one].is_cut = true;
            }
        }
    }

    /// Ends all partitions.
    pub(super) fn heal(&mut self) {
        self.entries.iter_mut().flatten().for_each(|entry| entry.is_cut = false);
    }
}
