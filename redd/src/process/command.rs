//! What to start, and how: `std::process::Command` with redd's way to wait.

#![expect(unsafe_code, reason = "`pre_exec` is unsafe in the standard library too")]

use super::child::{Child, OnDrop};
use crate::driver::readiness::source::current_driver;
use std::ffi::OsStr;
use std::future::Future;
use std::io;
use std::os::unix::process::CommandExt;
use std::panic::Location;
use std::path::Path;
use std::process::{Command as StdCommand, ExitStatus, Output, Stdio};

/// A process to be started: program, arguments, environment, directory, standard streams.
///
/// - The process is started by [`spawn`](Self::spawn), [`status`](Self::status) or [`output`](Self::output) when they
///   are *called*; the calling thread waits for the system to load the program.
/// - The same command may be started several times.
/// - The standard streams are inherited unless something else was set. Differs from std: that holds for the input of
///   [`output`](Self::output) too.
#[derive(Debug)]
pub struct Command {
    std: StdCommand,
    kill_on_drop: bool,
}

impl From<StdCommand> for Command {
    fn from(std: StdCommand) -> Self {
        Self { std, kill_on_drop: false }
    }
}

/// Options that are handed on to std.
macro_rules! options {
    ($($(#[$doc:meta])* $option:ident $([$($generics:tt)*])? ($($argument:ident: $T:ty)? $(, $more:ident: $More:ty)?);)*) => {$(
        $(#[$doc])*
        pub fn $option$(<$($generics)*>)?(&mut self $(, $argument: $T)? $(, $more: $More)?) -> &mut Self {
            self.std.$option($($argument)? $(, $more)?);
            self
        }
    )*};
}

impl Command {
    /// A command for `program`, which is looked for in `PATH` if it is a mere name.
    pub fn new<S: AsRef<OsStr>>(program: S) -> Self {
        Self::from(StdCommand::new(program))
    }

    /// The command of the standard library inside.
    pub fn as_std(&self) -> &StdCommand {
        &self.std
    }

    /// The command of the standard library inside, for changing.
    pub fn as_std_mut(&mut self) -> &mut StdCommand {
        &mut self.std
    }

    /// The command of the standard library; whether to kill on drop is forgotten.
    pub fn into_std(self) -> StdCommand {
        self.std
    }

    options! {
        /// Adds an argument.
        arg[S: AsRef<OsStr>](arg: S);

        /// Adds arguments.
        args[I: IntoIterator<Item = S>, S: AsRef<OsStr>](args: I);

        /// Sets a variable of the environment.
        env[K: AsRef<OsStr>, V: AsRef<OsStr>](key: K, value: V);

        /// Sets variables of the environment.
        envs[I: IntoIterator<Item = (K, V)>, K: AsRef<OsStr>, V: AsRef<OsStr>](vars: I);

        /// Takes a variable out of the environment.
        env_remove[K: AsRef<OsStr>](key: K);

        /// Starts from an empty environment instead of this process's.
        env_clear();

        /// Sets the directory to start in. Whether a relative program is looked for before or after the change is up to
        /// the system; give an absolute path.
        current_dir[P: AsRef<Path>](dir: P);

        /// Sets the standard input.
        stdin[T: Into<Stdio>](stdin: T);

        /// Sets the standard output.
        stdout[T: Into<Stdio>](stdout: T);

        /// Sets the standard error.
        stderr[T: Into<Stdio>](stderr: T);

        /// Sets the user of the process.
        uid(id: u32);

        /// Sets the group of the process.
        gid(id: u32);

        /// Sets the name by which the process is called: its argument zero.
        arg0[S: AsRef<OsStr>](arg: S);

        /// Sets the process group; zero makes a new one of which the process is the leader, so that Ctrl-C at the
        /// terminal does not reach it.
        process_group(pgroup: i32);
    }

    /// Whether the process is killed when its [`Child`] is dropped while it runs; not, if this is never called.
    pub fn kill_on_drop(&mut self, kill_on_drop: bool) -> &mut Self {
        self.kill_on_drop = kill_on_drop;
        self
    }

    /// What [`kill_on_drop`](Self::kill_on_drop) was told last.
    pub fn get_kill_on_drop(&self) -> bool {
        self.kill_on_drop
    }

    /// Runs `f` in the new process before the program is loaded; an error of it is the error of `spawn`.
    ///
    /// # Safety
    /// `f` runs between fork and exec of a process with many threads: no allocation, no locks, nothing but what is
    /// allowed in a signal handler.
    pub unsafe fn pre_exec<F>(&mut self, f: F) -> &mut Self
    where
        F: FnMut() -> io::Result<()> + Send + Sync + 'static,
    {
        // SAFETY: this function's own duty is that of the one it calls.
        unsafe { self.std.pre_exec(f) };
        self
    }

    /// Starts the process.
    ///
    /// # Panics
    /// Outside of a runtime, and in one that was built without I/O.
    ///
    /// # Errors
    /// The program was not found or may not be run; there are no processes, memory or descriptors left.
    ///
    /// # Examples
    /// ```
    /// use redd::process::Command;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mut child = Command::new("sleep").arg("1000").kill_on_drop(true).spawn()?;
    /// assert!(child.try_wait()?.is_none());
    /// child.kill().await?;
    /// assert!(!child.wait().await?.success());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn spawn(&mut self) -> io::Result<Child> {
        self.spawn_with(StdCommand::spawn)
    }

    /// As [`spawn`](Self::spawn), but `with` starts the process: for what std's `Command` can do and this one cannot.
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn).
    ///
    /// # Errors
    /// What `with` reports, and as [`spawn`](Self::spawn).
    #[track_caller]
    pub fn spawn_with(
        &mut self,
        with: impl FnOnce(&mut StdCommand) -> io::Result<std::process::Child>,
    ) -> io::Result<Child> {
        // Asked first: no process is started that nobody could wait for.
        let driver = current_driver();
        let on_drop = if self.kill_on_drop { OnDrop::Kill } else { OnDrop::RunOn };
        Child::new(with(&mut self.std)?, on_drop, &driver)
    }

    /// Starts the process, and waits for its end. Streams that were piped are closed at once.
    ///
    /// # Cancel safety
    /// As a [`Child`] that is dropped.
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn).
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn) and [`Child::wait`].
    #[track_caller]
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        let (spawned, place) = (self.spawn(), Location::caller());
        async move {
            let mut child = spawned?;
            drop((child.stdin.take(), child.stdout.take(), child.stderr.take()));
            child.wait_at(place).await
        }
    }

    /// Starts the process with piped outputs, and waits for its end and for what it wrote.
    ///
    /// # Cancel safety
    /// As a [`Child`] that is dropped; what was read is lost.
    ///
    /// # Panics
    /// As [`spawn`](Self::spawn).
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn) and [`Child::wait_with_output`].
    #[track_caller]
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + use<> {
        self.std.stdout(Stdio::piped()).stderr(Stdio::piped());
        let (spawned, place) = (self.spawn(), Location::caller());
        async move { spawned?.output_at(place).await }
    }
}
