//! What to report about a descriptor ([`Interest`]), and which operations are ready ([`Ready`]): sets of bits.
//!
//! Called by `driver`, `net` and `process`. Both types are public in `io`.

use crate::sys::epoll::flags;
use std::fmt;
use std::ops;

/// What to report about a descriptor, for its registration or for one wait.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Interest(u8);

/// Which operations on a descriptor are worth trying.
///
/// - It is a hint: the operation may still return `WouldBlock`.
///
/// # Examples
/// ```
/// use redd::io::Ready;
///
/// let ready = Ready::READABLE | Ready::READ_CLOSED;
/// assert!(ready.is_readable() && !ready.is_writable());
/// assert_eq!(ready - Ready::READABLE, Ready::READ_CLOSED);
/// ```
#[derive(Clone, Copy, Eq, PartialEq, PartialOrd, Ord)]
pub struct Ready(u8);

const READABLE: u8 = 1;
const WRITABLE: u8 = 1 << 1;
const READ_CLOSED: u8 = 1 << 2;
const WRITE_CLOSED: u8 = 1 << 3;
const PRIORITY: u8 = 1 << 4;
const ERROR: u8 = 1 << 5;

impl Interest {
    /// Reading, including the end of the stream.
    pub const READABLE: Self = Self(READABLE);
    /// Writing, including the end of what the peer accepts.
    pub const WRITABLE: Self = Self(WRITABLE);
    /// Urgent data, or what this kind of descriptor reports as such.
    pub const PRIORITY: Self = Self(PRIORITY);
    /// Errors. The system reports them also for an interest in another direction alone.
    pub const ERROR: Self = Self(ERROR);

    /// Whether it includes reading.
    pub const fn is_readable(self) -> bool {
        self.0 & READABLE != 0
    }

    /// Whether it includes writing.
    pub const fn is_writable(self) -> bool {
        self.0 & WRITABLE != 0
    }

    /// Whether it includes urgent data.
    pub const fn is_priority(self) -> bool {
        self.0 & PRIORITY != 0
    }

    /// Whether it includes errors.
    pub const fn is_error(self) -> bool {
        self.0 & ERROR != 0
    }

    /// The union, for constants. Elsewhere `|` reads better.
    #[must_use = "the union is returned, `self` is not changed"]
    pub const fn add(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The interest without `other`, or `None` if nothing is left.
    ///
    /// # Examples
    /// ```
    /// use redd::io::Interest;
    ///
    /// let both = Interest::READABLE | Interest::WRITABLE;
    /// assert_eq!(both.remove(Interest::WRITABLE), Some(Interest::READABLE));
    /// assert_eq!(Interest::READABLE.remove(Interest::READABLE), None);
    /// ```
    #[must_use = "the rest is returned, `self` is not changed"]
    pub fn remove(self, other: Self) -> Option<Self> {
        match self.0 & !other.0 {
            0 => None,
            rest => Some(Self(rest)),
        }
    }

    /// The flags for epoll. Errors and hang-ups are reported always.
    pub(crate) fn to_epoll(self) -> u32 {
        let mut events = flags::ET;
        if self.is_readable() {
            events |= flags::IN | flags::RDHUP;
        }
        if self.is_writable() {
            events |= flags::OUT;
        }
        if self.is_priority() {
            events |= flags::PRI;
        }
        events
    }

    /// The readiness that satisfies this interest. A closed direction satisfies it too, because the operation would not
    /// block.
    pub(crate) fn mask(self) -> Ready {
        let mut mask = self.0;
        if self.is_readable() {
            mask |= READ_CLOSED;
        }
        if self.is_writable() {
            mask |= WRITE_CLOSED;
        }
        if self.is_priority() {
            mask |= READ_CLOSED;
        }
        Ready(mask)
    }
}

impl Ready {
    /// Nothing.
    pub const EMPTY: Self = Self(0);
    /// A read is worth trying.
    pub const READABLE: Self = Self(READABLE);
    /// A write is worth trying.
    pub const WRITABLE: Self = Self(WRITABLE);
    /// The peer will send nothing more.
    pub const READ_CLOSED: Self = Self(READ_CLOSED);
    /// The peer will receive nothing more.
    pub const WRITE_CLOSED: Self = Self(WRITE_CLOSED);
    /// There is urgent data.
    pub const PRIORITY: Self = Self(PRIORITY);
    /// There is an error to fetch.
    pub const ERROR: Self = Self(ERROR);
    /// Everything.
    pub const ALL: Self = Self(READABLE | WRITABLE | READ_CLOSED | WRITE_CLOSED | PRIORITY | ERROR);

    /// Whether nothing is ready.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a read is worth trying, if only to detect the end of the stream.
    ///
    /// # Examples
    /// ```
    /// use redd::io::Ready;
    ///
    /// assert!(Ready::READ_CLOSED.is_readable());
    /// assert!(!Ready::WRITABLE.is_readable());
    /// ```
    pub const fn is_readable(self) -> bool {
        self.0 & (READABLE | READ_CLOSED) != 0
    }

    /// Whether a write is worth trying, if only to get its error.
    pub const fn is_writable(self) -> bool {
        self.0 & (WRITABLE | WRITE_CLOSED) != 0
    }

    /// Whether the peer will send nothing more.
    pub const fn is_read_closed(self) -> bool {
        self.0 & READ_CLOSED != 0
    }

    /// Whether the peer will receive nothing more.
    pub const fn is_write_closed(self) -> bool {
        self.0 & WRITE_CLOSED != 0
    }

    /// Whether there is urgent data.
    pub const fn is_priority(self) -> bool {
        self.0 & PRIORITY != 0
    }

    /// Whether there is an error to fetch.
    pub const fn is_error(self) -> bool {
        self.0 & ERROR != 0
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// The readiness in an event of epoll.
    ///
    /// An error alone makes both directions worth trying: a waiting operation returns it instead of waiting further.
    /// For example, Linux reports a refused datagram as `EPOLLERR` without `EPOLLIN`.
    pub(crate) fn from_epoll(events: u32) -> Self {
        let has = |flag| events & flag != 0;
        let mut ready = 0;
        if has(flags::IN | flags::PRI | flags::ERR) {
            ready |= READABLE;
        }
        if has(flags::OUT | flags::ERR) {
            ready |= WRITABLE;
        }
        if has(flags::PRI) {
            ready |= PRIORITY;
        }
        if has(flags::ERR) {
            ready |= ERROR;
        }
        if has(flags::HUP | flags::RDHUP) {
            ready |= READ_CLOSED;
        }
        // A pipe or FIFO without a reader reports an error, with or without room to write.
        if has(flags::HUP) || (has(flags::ERR) && (has(flags::OUT) || events == flags::ERR)) {
            ready |= WRITE_CLOSED;
        }
        Self(ready)
    }
}

impl ops::BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl ops::BitOr for Ready {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl ops::BitAnd for Ready {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl ops::Sub for Ready {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl ops::BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl ops::BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Writes the names of the set bits with ` | ` between them.
fn write_names(f: &mut fmt::Formatter<'_>, bits: u8) -> fmt::Result {
    const NAMES: [(u8, &str); 6] = [
        (READABLE, "READABLE"),
        (WRITABLE, "WRITABLE"),
        (READ_CLOSED, "READ_CLOSED"),
        (WRITE_CLOSED, "WRITE_CLOSED"),
        (PRIORITY, "PRIORITY"),
        (ERROR, "ERROR"),
    ];
    if bits == 0 {
        return f.write_str("EMPTY");
    }
    let mut separator = "";
    for (bit, name) in NAMES {
        if bits & bit != 0 {
            write!(f, "{separator}{name}")?;
            separator = " | ";
        }
    }
    Ok(())
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_names(f, self.0)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_names(f, self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interest_is_answered_by_its_direction_and_by_that_directions_end() {
        assert_eq!(Interest::READABLE.mask(), Ready::READABLE | Ready::READ_CLOSED);
        assert_eq!(Interest::WRITABLE.mask(), Ready::WRITABLE | Ready::WRITE_CLOSED);
        assert_eq!(Interest::ERROR.mask(), Ready::ERROR);
    }

    #[test]
    fn removing_the_last_interest_leaves_none() {
        assert_eq!(Interest::PRIORITY.remove(Interest::PRIORITY), None);
        assert_eq!(Interest::PRIORITY.remove(Interest::ERROR), Some(Interest::PRIORITY));
        assert_eq!(format!("{:?}", Interest::READABLE | Interest::ERROR), "READABLE | ERROR");
    }

    #[test]
    fn an_error_alone_makes_both_directions_worth_trying() {
        let ready = Ready::from_epoll(flags::ERR);
        assert!(ready.is_error() && ready.is_readable() && ready.is_write_closed());
        assert!(!ready.is_read_closed());
        let hung_up = Ready::from_epoll(flags::HUP);
        assert!(hung_up.is_read_closed() && hung_up.is_write_closed());
        assert_eq!(Ready::from_epoll(flags::IN), Ready::READABLE);
    }
}
