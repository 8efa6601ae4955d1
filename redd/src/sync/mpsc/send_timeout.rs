//! `Sender::send_timeout`: the one method of `sync` that needs a clock.

use std::future::Future;
use std::time::Duration;

use super::Sender;
use super::error::SendTimeoutError;
use crate::time::timeout;

impl<T> Sender<T> {
    /// Sends a message. If the channel is full, it waits for room for at most `duration`.
    ///
    /// - The time runs from the first poll on.
    ///
    /// # Cancel safety
    /// If the future is dropped, the message was not sent and is dropped too.
    ///
    /// # Panics
    /// Outside of a runtime, or in one without [`enable_time`](crate::runtime::Builder::enable_time).
    ///
    /// # Errors
    /// [`Timeout`](SendTimeoutError::Timeout) or [`Closed`](SendTimeoutError::Closed), with the message.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::mpsc::{self, error::SendTimeoutError};
    /// use std::time::Duration;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// let (sender, _receiver) = mpsc::channel(1);
    /// let patience = Duration::from_millis(100);
    /// assert!(sender.send_timeout("first", patience).await.is_ok());
    /// let late = sender.send_timeout("second", patience).await;
    /// assert_eq!(late, Err(SendTimeoutError::Timeout("second")));
    /// # });
    /// ```
    #[track_caller]
    pub fn send_timeout(
        &self,
        message: T,
        duration: Duration,
    ) -> impl Future<Output = Result<(), SendTimeoutError<T>>> {
        let reserve = self.reserve();
        // The time runs from the first poll on, as in Tokio.
        async move {
            match timeout(duration, reserve).await {
                Err(_) => Err(SendTimeoutError::Timeout(message)),
                Ok(Err(_)) => Err(SendTimeoutError::Closed(message)),
                Ok(Ok(permit)) => {
                    permit.send(message);
                    Ok(())
                }
            }
        }
    }
}
