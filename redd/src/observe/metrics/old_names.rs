//! Names of metrics that Tokio has replaced, hides in its documentation, and keeps.
//!
//! Called by programs that were written before Tokio renamed them.

use std::ops::Range;
use std::time::Duration;

use super::RuntimeMetrics;

impl RuntimeMetrics {
    /// An older name of [`global_queue_depth`](Self::global_queue_depth).
    #[doc(hidden)]
    #[deprecated(note = "use `global_queue_depth`")]
    pub fn injection_queue_depth(&self) -> usize {
        self.global_queue_depth()
    }

    /// An older name of [`poll_time_histogram_enabled`](Self::poll_time_histogram_enabled).
    #[doc(hidden)]
    #[deprecated(note = "use `poll_time_histogram_enabled`")]
    pub fn poll_count_histogram_enabled(&self) -> bool {
        self.poll_time_histogram_enabled()
    }

    /// An older name of [`poll_time_histogram_num_buckets`](Self::poll_time_histogram_num_buckets).
    #[doc(hidden)]
    #[deprecated(note = "use `poll_time_histogram_num_buckets`")]
    pub fn poll_count_histogram_num_buckets(&self) -> usize {
        self.poll_time_histogram_num_buckets()
    }

    /// An older name of [`poll_time_histogram_bucket_range`](Self::poll_time_histogram_bucket_range).
    #[doc(hidden)]
    #[deprecated(note = "use `poll_time_histogram_bucket_range`")]
    pub fn poll_count_histogram_bucket_range(&self, bucket: usize) -> Range<Duration> {
        self.poll_time_histogram_bucket_range(bucket)
    }

    /// An older name of [`poll_time_histogram_bucket_count`](Self::poll_time_histogram_bucket_count).
    ///
    /// # Panics
    /// Panics if there is no such worker.
    #[doc(hidden)]
    #[deprecated(note = "use `poll_time_histogram_bucket_count`")]
    #[track_caller]
    pub fn poll_count_histogram_bucket_count(&self, worker: usize, bucket: usize) -> u64 {
        self.poll_time_histogram_bucket_count(worker, bucket)
    }
}
