//! Shared by the random and the exhaustive tests of tasks: values whose drops are counted, and intentional panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many values of a kind were made, and how many were dropped.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    made: AtomicUsize,
    dropped: AtomicUsize,
}

impl Tally {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A value that counts its drop.
    pub(crate) fn make(self: &Arc<Self>) -> Counted {
        self.made.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(self))
    }

    pub(crate) fn made(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }

    pub(crate) fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }

    #[track_caller]
    pub(crate) fn assert_even(&self, what: &str) {
        assert_eq!(self.made(), self.dropped(), "{what}: made, and dropped");
    }
}

/// Counts its drop.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Tally>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// Intentional panics begin with this text, and are not printed.
const ON_PURPOSE: &str = "on purpose";

/// Panics without printing a message.
pub(crate) fn panic_on_purpose(place: &'static str) -> ! {
    std::panic::panic_any(Purpose(place))
}

/// The payload of an intentional panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Purpose(pub(crate) &'static str);

/// From now on, intentional panics are not printed.
pub(crate) fn hide_purposes() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let text = info.payload().downcast_ref::<&str>();
        if !info.payload().is::<Purpose>() && !text.is_some_and(|text| text.starts_with(ON_PURPOSE)) {
            usual(info);
        }
    }));
}

/// The message of a panic.
pub(crate) fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    if let Some(purpose) = payload.downcast_ref::<Purpose>() {
        return format!("{ON_PURPOSE}: {}", purpose.0);
    }
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "(no text)".to_owned())
}

/// Splitmix64: one word, every seed is a good seed.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xff51_afd7_ed55_8ccd) ^ 0x5eed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True once in `n`.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}
