//! How fast a crawl is, and how long the addresses that it knows will take.
//!
//! Called by `progress`. Pure: the caller passes the time since the crawl began.

use std::collections::VecDeque;
use std::time::Duration;

/// The rate is that of so many samples, which are about a second apart.
const SAMPLES_MAX: usize = 15;

/// How many addresses were dealt with, at several times.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    samples: VecDeque<(Duration, u64)>,
}

impl Pace {
    /// Records that `done` addresses were dealt with `at` that time.
    pub(crate) fn record(&mut self, at: Duration, done: u64) {
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back((at, done));
    }

    /// Addresses per second. None as long as nothing was done within the samples.
    pub(crate) fn per_second(&self) -> Option<f64> {
        let (&(from, before), &(to, after)) = (self.samples.front()?, self.samples.back()?);
        let seconds = to.saturating_sub(from).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "the rate is shown with two digits")]
        let done = after.saturating_sub(before) as f64;
        (seconds > 0.0 && done > 0.0).then(|| done / seconds)
    }

    /// How long `known` addresses take at this rate. Each may lead to more.
    pub(crate) fn time_for(&self, known: usize) -> Option<Duration> {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = known as f64 / self.per_second()?;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// A rate as people read it.
pub(crate) fn rate_text(per_second: f64) -> String {
    if per_second >= 10.0 { format!("{per_second:.0} a second") } else { format!("{per_second:.1} a second") }
}

/// A time as people read it, rounded up.
pub(crate) fn time_text(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let (minutes, hours) = (seconds.div_ceil(60), seconds.div_ceil(60) / 60);
    match (hours, minutes % 60) {
        _ if seconds < 120 => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(samples: &[(u64, u64)]) -> Pace {
        let mut pace = Pace::default();
        samples.iter().for_each(|&(at, done)| pace.record(Duration::from_secs(at), done));
        pace
    }

    #[test]
    fn there_is_no_rate_before_something_was_done() {
        assert_eq!(pace(&[]).per_second(), None);
        assert_eq!(pace(&[(1, 5)]).per_second(), None);
        assert_eq!(pace(&[(1, 5), (2, 5)]).time_for(9), None);
        assert_eq!(pace(&[(1, 5), (1, 9)]).per_second(), None);
    }

    #[test]
    fn the_rate_is_that_of_the_last_samples() {
        assert_eq!(pace(&[(1, 0), (2, 4), (3, 8)]).per_second(), Some(4.0));
        let mut samples: Vec<(u64, u64)> = vec![(0, 0)];
        samples.extend((1..=15).map(|second| (second, 1000 + 2 * second)));
        assert_eq!(pace(&samples).per_second(), Some(2.0), "the burst at the start is forgotten");
        assert_eq!(pace(&samples).time_for(7), Some(Duration::from_millis(3500)));
    }

    #[test]
    fn times_have_the_units_that_people_use() {
        let text = |seconds| time_text(Duration::from_secs(seconds));
        assert_eq!([0, 1, 119, 120, 121].map(text), ["0 s", "1 s", "119 s", "2 min", "3 min"]);
        assert_eq!([3600, 3601, 7500, 7200].map(text), ["1 h", "1 h 1 min", "2 h 5 min", "2 h"]);
        assert_eq!(time_text(Duration::from_millis(3500)), "4 s");
        assert_eq!([0.25, 3.21, 42.4].map(rate_text), ["0.2 a second", "3.2 a second", "42 a second"]);
    }
}
