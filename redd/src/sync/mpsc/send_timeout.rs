//! `Sender::send_timeout`: the one method of `sync` that needs a clock.

use std::future::Future;
use std::time::Duration;

use super::Sender;
use super::error::SendTimeoutError;
use crate::time::timeout;

impl<T> Sender<T> {
    /// Sends a value, waiting for room no longer than `duration`.
    ///
    /// # Errors
    /// There was no room in time, or the receiver is closed or dropped; the value comes back.
    ///
    /// # Panics
    /// Outside of a runtime, or in one without `enable_time`.
    ///
    /// # Cancel safety
    /// If it is dropped, the value was not sent, and is dropped too.
    #[track_caller]
    pub fn send_timeout(&self, value: T, duration: Duration) -> impl Future<Output = Result<(), SendTimeoutError<T>>> {
        let reserve = self.reserve();
        // The time runs from the first poll on, as in Tokio.
        async move {
            match timeout(duration, reserve).await {
                Err(_) => Err(SendTimeoutError::Timeout(value)),
                Ok(Err(_)) => Err(SendTimeoutError::Closed(value)),
                Ok(Ok(permit)) => {
                    permit.send(value);
                    Ok(())
                }
            }
        }
    }
}
