//! `Runtime::new` and `LocalRuntime::new`: runtimes with everything enabled.

use std::io;

use super::builder::Builder;
use super::lifecycle::Runtime;
use super::local::{LocalOptions, LocalRuntime};

impl Runtime {
    /// Starts a multi-thread runtime with everything enabled and one worker per CPU.
    ///
    /// # Errors
    /// The system refuses a descriptor (`EMFILE`, `ENFILE`) or a thread (`EAGAIN`).
    pub fn new() -> io::Result<Self> {
        Builder::new_multi_thread().enable_all().build()
    }
}

impl LocalRuntime {
    /// Starts a local runtime with everything enabled.
    ///
    /// # Errors
    /// The system refuses a descriptor (`EMFILE`, `ENFILE`).
    pub fn new() -> io::Result<Self> {
        Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
    }
}
