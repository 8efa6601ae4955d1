//! Histograms of durations, for poll times and for the time that tasks wait in a queue.
//!
//! Called by `runtime::builder` (configuration), `scheduler` (recording) and `metrics` (reading).
//!
//! # Invariants
//! - `buckets-tile`: the ranges of the buckets cover 0 to `u64::MAX` nanoseconds without gaps or overlaps. So each duration
//!   is counted once.

use std::ops::Range;
use std::time::Duration;

use crate::primitives::atomic::{AtomicU64, Ordering};

/// The layout of a histogram's buckets.
///
/// # Examples
/// ```
/// use redd::runtime::{Builder, HistogramConfiguration};
/// use redd::time::Duration;
///
/// let histogram = HistogramConfiguration::linear(Duration::from_micros(50), 20);
/// let runtime = Builder::new_current_thread()
///     .enable_metrics_poll_time_histogram()
///     .metrics_poll_time_histogram_configuration(histogram)
///     .build()?;
/// assert_eq!(runtime.metrics().poll_time_histogram_num_buckets(), 20);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct HistogramConfiguration {
    layout: Layout,
}

impl HistogramConfiguration {
    /// Creates `num_buckets` buckets of width `bucket_width`. The last one also counts all longer durations.
    ///
    /// # Panics
    /// Panics if there are more than 2^24 buckets, which take 128 MiB for each worker.
    #[track_caller]
    pub fn linear(bucket_width: Duration, num_buckets: usize) -> Self {
        assert_bucket_count(num_buckets);
        Self { layout: Layout::Linear { width: nanos(bucket_width).max(1), buckets: num_buckets.max(1) } }
    }

    /// Creates buckets whose width grows with the duration: see [`LogHistogram`].
    pub fn log(configuration: impl Into<LogHistogram>) -> Self {
        Self { layout: Layout::Log(configuration.into()) }
    }

    /// Creates the buckets of Tokio's older builder methods.
    #[track_caller]
    pub(crate) fn legacy(scale: HistogramScale, resolution: Duration, buckets: usize) -> Self {
        match scale {
            HistogramScale::Linear => Self::linear(resolution, buckets),
            HistogramScale::Log => {
                assert_bucket_count(buckets);
                let first = nanos(resolution).max(1).checked_next_power_of_two().unwrap_or(1 << 63);
                Self { layout: Layout::Doubling { first, buckets: buckets.max(1) } }
            }
        }
    }
}

#[track_caller]
fn assert_bucket_count(buckets: usize) {
    assert!(
        buckets <= 1 << 24,
        "a histogram with {buckets} buckets would use too much memory. Give at most 2^24, or use \
         `HistogramConfiguration::log`, which needs few of them."
    );
}

/// Ten buckets of 100 µs.
impl Default for HistogramConfiguration {
    fn default() -> Self {
        Self::linear(Duration::from_micros(100), 10)
    }
}

/// The growth of the buckets, for the older methods of the builder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum HistogramScale {
    /// All buckets have the same width.
    Linear,
    /// Each bucket is twice as wide as the one before it.
    Log,
}

/// Buckets on a logarithmic scale: each power of two is divided into 2^p equal buckets.
///
/// # Examples
/// ```
/// use redd::runtime::LogHistogram;
/// use redd::time::Duration;
///
/// let histogram = LogHistogram::builder()
///     .min_value(Duration::from_micros(1))
///     .max_value(Duration::from_millis(100))
///     .max_error(0.25)
///     .build();
/// // The start of the last bucket, in nanoseconds.
/// assert!(histogram.max_value() >= 100_000_000);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LogHistogram {
    buckets: usize,
    p: u32,
    /// The number of buckets at the start of the scale that are merged into the first one.
    skipped: usize,
}

/// From 100 ns to a minute, with a relative error of a quarter.
impl Default for LogHistogram {
    fn default() -> Self {
        LogHistogramBuilder::default().build()
    }
}

impl LogHistogram {
    /// Returns a builder to choose range and precision.
    pub fn builder() -> LogHistogramBuilder {
        LogHistogramBuilder::default()
    }

    /// Returns the start of the last bucket in nanoseconds. That bucket counts all longer durations.
    pub fn max_value(&self) -> u64 {
        self.start(self.buckets - 1)
    }

    fn new(p: u32, min: u64, max: u64) -> Self {
        let first = Self::bucket_index(p, min);
        let last = Self::bucket_index(p, max - 1).max(first);
        let skipped = first.saturating_sub(1);
        Self { buckets: last - skipped + 2, p, skipped }
    }

    /// Returns the bucket of the whole scale for `value`: one bucket per value below 2^p, then 2^p per power of two.
    fn bucket_index(p: u32, value: u64) -> usize {
        if value < 1 << p {
            return value as usize;
        }
        let shift = value.ilog2() - p;
        ((shift as usize) << p) + (value >> shift) as usize
    }

    fn bucket_of(&self, value: u64) -> usize {
        Self::bucket_index(self.p, value).saturating_sub(self.skipped).min(self.buckets - 1)
    }

    /// Returns the smallest value of a bucket.
    fn start(&self, bucket: usize) -> u64 {
        if bucket == 0 {
            return 0;
        }
        let index = bucket + self.skipped;
        if index < 1 << self.p {
            return index as u64;
        }
        let (shift, within) = ((index >> self.p) - 1, index & ((1 << self.p) - 1));
        u64::try_from((1_u128 << self.p | within as u128) << shift).unwrap_or(u64::MAX)
    }
}

/// Sets the range and precision of a [`LogHistogram`], which has an example.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogHistogramBuilder {
    min: Option<Duration>,
    max: Option<Duration>,
    p: Option<u32>,
}

/// 2^10 buckets for each power of two; the limit is Tokio's.
const P_MAX: u32 = 10;
/// The minimum for `max_error` and the default; the limit is Tokio's.
const P_MIN: u32 = 2;

impl LogHistogramBuilder {
    /// Sets the maximum relative error of a recorded duration. Values outside of 2^-10 to 1/4 are clamped to this range.
    ///
    /// # Panics
    /// Panics if `max_error` is not between 0 and 1.
    #[track_caller]
    pub fn max_error(mut self, max_error: f64) -> Self {
        assert!(
            max_error > 0.0 && max_error < 1.0,
            "`LogHistogramBuilder::max_error` was called with {max_error}. Give a part of the whole: more than 0 and \
             less than 1."
        );
        self.p = Some(((1.0 / max_error).log2().ceil() as u32).clamp(P_MIN, P_MAX));
        self
    }

    /// Divides each power of two into exactly 2^`p` buckets.
    ///
    /// # Panics
    /// Panics if `p` is more than 10.
    #[track_caller]
    pub fn precision_exact(mut self, p: u32) -> Self {
        assert!(
            p <= P_MAX,
            "`LogHistogramBuilder::precision_exact` was called with {p}: that is 2^{p} buckets for each power of two. \
             Give at most {P_MAX}."
        );
        self.p = Some(p);
        self
    }

    /// Counts all shorter durations in the first bucket. Default: 100 ns.
    pub fn min_value(mut self, duration: Duration) -> Self {
        self.min = Some(duration);
        self
    }

    /// Counts all longer durations in the last bucket. Default: 60 s.
    ///
    /// # Panics
    /// Panics if `duration` is zero.
    #[track_caller]
    pub fn max_value(mut self, duration: Duration) -> Self {
        assert!(
            !duration.is_zero(),
            "`LogHistogramBuilder::max_value` was called with 0: no duration is shorter. Give the longest one that \
             shall have a bucket of its own."
        );
        self.max = Some(duration);
        self
    }

    /// Builds the histogram if it needs at most `max_buckets` buckets.
    ///
    /// # Errors
    /// [`InvalidHistogramConfiguration::TooManyBuckets`] if it needs more. Choose less precision or a smaller range.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::LogHistogram;
    ///
    /// assert!(LogHistogram::builder().max_buckets(500).is_ok());
    /// let error = LogHistogram::builder().precision_exact(10).max_buckets(500).unwrap_err();
    /// assert!(error.to_string().contains("less precision"));
    /// ```
    pub fn max_buckets(&mut self, max_buckets: usize) -> Result<LogHistogram, InvalidHistogramConfiguration> {
        let histogram = self.build();
        if histogram.buckets > max_buckets {
            let required_bucket_count = histogram.buckets;
            return Err(InvalidHistogramConfiguration::TooManyBuckets { required_bucket_count });
        }
        Ok(histogram)
    }

    /// Builds the histogram.
    pub fn build(&self) -> LogHistogram {
        let min = self.min.map_or(100, nanos);
        let max = self.max.map_or(60_000_000_000, nanos);
        LogHistogram::new(self.p.unwrap_or(P_MIN), min, max)
    }
}

impl From<LogHistogramBuilder> for LogHistogram {
    fn from(builder: LogHistogramBuilder) -> Self {
        builder.build()
    }
}

/// The reason why a histogram cannot be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum InvalidHistogramConfiguration {
    /// It needs more buckets than allowed.
    TooManyBuckets {
        /// The number of buckets that it needs.
        required_bucket_count: usize,
    },
}

error_texts! {
    [] InvalidHistogramConfiguration,
    Self::TooManyBuckets { required_bucket_count } =>
        "the histogram needs {required_bucket_count} buckets, which is more than it may have; choose less precision or \
         a smaller range",
}

#[derive(Clone, Debug)]
enum Layout {
    Linear { width: u64, buckets: usize },
    Doubling { first: u64, buckets: usize },
    Log(LogHistogram),
}

impl Layout {
    fn buckets(&self) -> usize {
        match self {
            Self::Linear { buckets, .. } | Self::Doubling { buckets, .. } => *buckets,
            Self::Log(log) => log.buckets,
        }
    }

    fn bucket_of(&self, value: u64) -> usize {
        match self {
            Self::Linear { width, buckets } => usize::try_from(value / width).unwrap_or(usize::MAX).min(buckets - 1),
            Self::Doubling { first, buckets } => {
                let above = (value / first).checked_ilog2().map_or(0, |power| power as usize + 1);
                above.min(buckets - 1)
            }
            Self::Log(log) => log.bucket_of(value),
        }
    }

    /// Returns the start of a bucket, which is the end of the one before it (`buckets-tile`).
    fn start(&self, bucket: usize) -> u64 {
        match self {
            Self::Linear { width, .. } => width.saturating_mul(bucket as u64),
            Self::Doubling { .. } if bucket == 0 => 0,
            Self::Doubling { first, .. } => {
                u64::try_from(u128::from(*first) << (bucket - 1).min(64)).unwrap_or(u64::MAX)
            }
            Self::Log(log) => log.start(bucket),
        }
    }
}

/// A histogram's counts. Any thread may record and read.
#[derive(Debug)]
pub(crate) struct Histogram {
    layout: Layout,
    counts: Box<[AtomicU64]>,
    sum_ns: AtomicU64,
}

impl Histogram {
    pub(crate) fn new(configuration: &HistogramConfiguration) -> Self {
        let layout = configuration.layout.clone();
        let counts = (0..layout.buckets()).map(|_| AtomicU64::new(0)).collect();
        Self { layout, counts, sum_ns: AtomicU64::new(0) }
    }

    pub(crate) fn record(&self, duration: Duration) {
        let ns = nanos(duration);
        self.counts[self.layout.bucket_of(ns)].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// Returns the sum of all durations. It wraps after 584 years.
    pub(crate) fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed))
    }

    pub(crate) fn buckets(&self) -> usize {
        self.counts.len()
    }

    /// Returns the count of a bucket, or `None` if there is no such bucket.
    pub(crate) fn count(&self, bucket: usize) -> Option<u64> {
        self.counts.get(bucket).map(|count| count.load(Ordering::Relaxed))
    }

    /// Returns the range of durations that a bucket counts, or `None` if there is no such bucket.
    pub(crate) fn range(&self, bucket: usize) -> Option<Range<Duration>> {
        if bucket >= self.counts.len() {
            return None;
        }
        let end = if bucket + 1 == self.counts.len() { u64::MAX } else { self.layout.start(bucket + 1) };
        Some(Duration::from_nanos(self.layout.start(bucket))..Duration::from_nanos(end))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn configurations() -> impl Strategy<Value = HistogramConfiguration> {
        let nanos = || (0..64_u32, any::<u64>()).prop_map(|(shift, value)| Duration::from_nanos(value >> shift));
        prop_oneof![
            (nanos(), 1..40_usize).prop_map(|(width, buckets)| HistogramConfiguration::linear(width, buckets)),
            (nanos(), 1..80_usize)
                .prop_map(|(first, buckets)| { HistogramConfiguration::legacy(HistogramScale::Log, first, buckets) }),
            (nanos(), nanos(), 0..=6_u32).prop_map(|(min, max, p)| {
                let max = max.max(Duration::from_nanos(1));
                HistogramConfiguration::log(LogHistogram::builder().min_value(min).max_value(max).precision_exact(p))
            }),
        ]
    }

    proptest! {
        #[test]
        fn each_duration_is_counted_in_the_one_bucket_whose_range_has_it(
            configuration in configurations(), shift in 0..64_u32, value: u64
        ) {
            let histogram = Histogram::new(&configuration);
            let mut end = Duration::ZERO;
            for bucket in 0..histogram.buckets() {
                let range = histogram.range(bucket).unwrap();
                prop_assert_eq!(range.start, end);
                end = range.end;
            }
            prop_assert_eq!(end, Duration::from_nanos(u64::MAX));
            let duration = Duration::from_nanos((value >> shift).min(u64::MAX - 1));
            histogram.record(duration);
            prop_assert_eq!(histogram.sum(), duration);
            for bucket in 0..histogram.buckets() {
                let has_it = histogram.range(bucket).unwrap().contains(&duration);
                prop_assert_eq!(histogram.count(bucket), Some(u64::from(has_it)));
            }
        }
    }
}
