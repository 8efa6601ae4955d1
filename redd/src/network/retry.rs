//! The retransmission of what was lost: when, and how often.
//!
//! Called by `socket`, which has one for each TCP socket, and by `engine`, `stream` and `segments`.
//!
//! The network knows what it loses, so a timer runs only after a loss. Its times are those of Linux.

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryKind {
    Syn,
    SynAck,
    Data,
    /// Data of a connection that the program has closed.
    OrphanData,
}

impl RetryKind {
    /// How often it is sent again before it fails.
    fn limit(self) -> u32 {
        match self {
            Self::Syn => 6,
            Self::SynAck => 5,
            Self::Data => 15,
            Self::OrphanData => 8,
        }
    }

    fn first_ns(self) -> u64 {
        match self {
            Self::Syn | Self::SynAck => 1_000_000_000,
            Self::Data | Self::OrphanData => RETRANSMISSION_NS,
        }
    }
}

/// The timer of one socket.
#[derive(Debug, Default)]
pub(super) struct Retry {
    /// The number of the timer. Older ones are void.
    number: u32,
    is_armed: bool,
    attempts: u32,
    /// When the SYN was sent.
    sent_at: u64,
}

impl Retry {
    pub(super) fn is_armed(&self) -> bool {
        self.is_armed
    }

    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// A SYN is sent now. If it is lost, the time runs from here on.
    pub(super) fn sends_syn(&mut self, now: u64) {
        self.sent_at = now;
    }

    /// Arms the timer. Returns its time and number. `None` if it runs already.
    pub(super) fn arm(&mut self, kind: RetryKind, now: u64) -> Option<(u64, u32)> {
        if self.is_armed {
            return None;
        }
        self.is_armed = true;
        self.number += 1;
        let wait = (kind.first_ns() << self.attempts.min(16)).min(MAX_RETRANSMISSION_NS);
        let from = if kind == RetryKind::Syn { self.sent_at } else { now };
        Some((from.saturating_add(wait).max(now), self.number))
    }

    /// The timer with this number is due. Returns whether it is valid.
    pub(super) fn fires(&mut self, number: u32) -> bool {
        let is_valid = self.is_armed && self.number == number;
        if is_valid {
            self.is_armed = false;
            self.attempts += 1;
        }
        is_valid
    }

    pub(super) fn is_over(&self, kind: RetryKind) -> bool {
        self.attempts > kind.limit()
    }

    /// The peer has received a part: the times of later losses start again.
    pub(super) fn progresses(&mut self) {
        self.attempts = 0;
    }

    /// The peer has received everything.
    pub(super) fn reset(&mut self) {
        self.is_armed = false;
        self.attempts = 0;
    }
}

/// Linux's first retransmission time-out. It doubles each time.
pub(super) const RETRANSMISSION_NS: u64 = 200_000_000;
/// Linux's longest retransmission time-out.
pub(super) const MAX_RETRANSMISSION_NS: u64 = 120_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn times(kind: RetryKind) -> Vec<u64> {
        let (mut retry, mut now, mut times) = (Retry::default(), 0, Vec::new());
        loop {
            retry.sends_syn(now);
            let (at, number) = retry.arm(kind, now).expect("it was not armed");
            assert_eq!(retry.arm(kind, now), None);
            assert!(!retry.fires(number + 1) && retry.fires(number));
            now = at;
            times.push(now / 1_000_000);
            if retry.is_over(kind) {
                return times;
            }
        }
    }

    #[test]
    fn the_times_are_those_of_linux() {
        assert_eq!(times(RetryKind::Syn), [1000, 3000, 7000, 15_000, 31_000, 63_000, 127_000]);
        assert_eq!(times(RetryKind::SynAck).last(), Some(&63_000));
        let data = times(RetryKind::Data);
        assert_eq!((data[0], data[1], data.len(), data[15]), (200, 600, 16, 924_600));
        assert_eq!(times(RetryKind::OrphanData).len(), 9);
    }
}
