//! `Runtime::new` and `LocalRuntime::new`: runtimes with everything enabled.

use std::io;

use super::builder::Builder;
use super::lifecycle::Runtime;
use super::local::{LocalOptions, LocalRuntime};

impl Runtime {
    /// A multi-thread runtime with everything enabled and one worker per CPU.
    ///
    /// # Errors
    /// The system refuses a descriptor or a thread.
    pub fn new() -> io::Result<Self> {
        Builder::new_multi_thread().enable_all().build()
    }
}

impl LocalRuntime {
    /// A local runtime with everything enabled.
    ///
    /// # Errors
    /// The system refuses a descriptor.
    pub fn new() -> io::Result<Self> {
        Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
    }
}
