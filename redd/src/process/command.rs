//! A process to start: `std::process::Command`, with methods that wait without blocking.

#![expect(unsafe_code, reason = "`pre_exec` is unsafe in the standard library too")]

use super::child::{Child, OnDrop};
use crate::driver::readiness::source::current_driver;
use crate::observe::waiting::located;
use crate::primitives::baton;
use crate::task::refusal::refused;
use std::ffi::OsStr;
use std::future::Future;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command as StdCommand, ExitStatus, Output, Stdio};

/// A process to start: its program, arguments, environment, directory and standard streams.
///
/// - [`spawn`](Self::spawn), [`status`](Self::status) and [`output`](Self::output) start the process when they are *called*.
///   The calling thread blocks until the kernel has loaded the program.
/// - A command can be started several times.
/// - The standard streams are inherited unless they are set. Differs from the standard library: so is the input of
///   [`output`](Self::output).
///
/// # Examples
/// ```
/// use redd::process::Command;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let status = Command::new("true").status().await?;
/// assert!(status.success());
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
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

impl Command {
    /// Makes a command for `program`. A name without a slash is looked up in `PATH`.
    pub fn new<S: AsRef<OsStr>>(program: S) -> Self {
        Self::from(StdCommand::new(program))
    }

    /// Returns the command of the standard library.
    pub fn as_std(&self) -> &StdCommand {
        &self.std
    }

    /// Returns the command of the standard library, to change it.
    ///
    /// # Examples
    /// ```
    /// use redd::process::Command;
    ///
    /// let mut command = Command::new("ls");
    /// command.as_std_mut().arg("-l");
    /// assert_eq!(command.as_std().get_args().count(), 1);
    /// ```
    pub fn as_std_mut(&mut self) -> &mut StdCommand {
        &mut self.std
    }

    /// Turns it into the command of the standard library, which has no `kill_on_drop`.
    pub fn into_std(self) -> StdCommand {
        self.std
    }

    /// Adds an argument.
    ///
    /// # Examples
    /// ```
    /// use redd::process::Command;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let output = Command::new("echo").arg("a b").output().await?;
    /// assert_eq!(output.stdout, b"a b\n", "no shell splits it");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn arg<S: AsRef<OsStr>>(&mut self, arg: S) -> &mut Self {
        self.std.arg(arg);
        self
    }

    /// Adds arguments.
    ///
    /// # Examples
    /// ```
    /// use redd::process::Command;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let output = Command::new("echo").args(["a", "b"]).output().await?;
    /// assert_eq!(output.stdout, b"a b\n");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&mut self, args: I) -> &mut Self {
        self.std.args(args);
        self
    }

    /// Sets an environment variable.
    ///
    /// # Examples
    /// ```
    /// use redd::process::Command;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let output = Command::new("sh").args(["-c", "echo $GREETING"]).env("GREETING", "hello").output().await?;
    /// assert_eq!(output.stdout, b"hello\n");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn env<K: AsRef<OsStr>, V: AsRef<OsStr>>(&mut self, key: K, value: V) -> &mut Self {
        self.std.env(key, value);
        self
    }

    /// Sets environment variables.
    pub fn envs<I: IntoIterator<Item = (K, V)>, K: AsRef<OsStr>, V: AsRef<OsStr>>(&mut self, vars: I) -> &mut Self {
        self.std.envs(vars);
        self
    }

    /// Removes an environment variable.
    pub fn env_remove<K: AsRef<OsStr>>(&mut self, key: K) -> &mut Self {
        self.std.env_remove(key);
        self
    }

    /// Starts the process with an empty environment instead of this process's environment.
    ///
    /// # Examples
    /// ```
    /// use redd::process::Command;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let output = Command::new("/usr/bin/env").env_clear().env("ONLY", "this").output().await?;
    /// assert_eq!(output.stdout, b"ONLY=this\n");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn env_clear(&mut self) -> &mut Self {
        self.std.env_clear();
        self
    }

    /// Sets the working directory of the process.
    ///
    /// - Whether a relative program path is looked up before or after the change depends on the platform: pass an absolute path.
    ///
    /// # Examples
    /// ```
    /// use redd::process::Command;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let output = Command::new("pwd").current_dir("/").output().await?;
    /// assert_eq!(output.stdout, b"/\n");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn current_dir<P: AsRef<Path>>(&mut self, dir: P) -> &mut Self {
        self.std.current_dir(dir);
        self
    }

    /// Sets the standard input.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    /// use redd::process::Command;
    /// use std::process::Stdio;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    /// let mut stdin = child.stdin.take().expect("it is piped");
    /// stdin.write_all(b"hello").await?;
    /// drop(stdin); // `cat` ends when its input does
    /// let output = child.wait_with_output().await?;
    /// assert_eq!(output.stdout, b"hello");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn stdin<T: Into<Stdio>>(&mut self, stdin: T) -> &mut Self {
        self.std.stdin(stdin);
        self
    }

    /// Sets the standard output.
    pub fn stdout<T: Into<Stdio>>(&mut self, stdout: T) -> &mut Self {
        self.std.stdout(stdout);
        self
    }

    /// Sets the standard error.
    ///
    /// # Examples
    /// ```
    /// use redd::process::Command;
    /// use std::process::Stdio;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let status = Command::new("ls").arg("/no/such/file").stderr(Stdio::null()).status().await?;
    /// assert!(!status.success());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn stderr<T: Into<Stdio>>(&mut self, stderr: T) -> &mut Self {
        self.std.stderr(stderr);
        self
    }

    /// Sets the user id of the process.
    pub fn uid(&mut self, id: u32) -> &mut Self {
        self.std.uid(id);
        self
    }

    /// Sets the group id of the process.
    pub fn gid(&mut self, id: u32) -> &mut Self {
        self.std.gid(id);
        self
    }

    /// Sets argument zero, the name that the process is called by.
    pub fn arg0<S: AsRef<OsStr>>(&mut self, arg: S) -> &mut Self {
        self.std.arg0(arg);
        self
    }

    /// Sets the process group. Zero makes a new group with the process as its leader, so that Ctrl-C at the terminal does not
    /// reach it.
    pub fn process_group(&mut self, pgroup: i32) -> &mut Self {
        self.std.process_group(pgroup);
        self
    }

    /// Sets whether the process is killed when its [`Child`] is dropped. The default is `false`.
    ///
    /// # Examples
    /// ```
    /// use redd::process::Command;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let child = Command::new("sleep").arg("1000").kill_on_drop(true).spawn()?;
    /// drop(child); // no `sleep` is left behind
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn kill_on_drop(&mut self, kill_on_drop: bool) -> &mut Self {
        self.kill_on_drop = kill_on_drop;
        self
    }

    /// Returns what [`kill_on_drop`](Self::kill_on_drop) has set.
    pub fn get_kill_on_drop(&self) -> bool {
        self.kill_on_drop
    }

    /// Runs `f` in the new process before the program is loaded. If `f` fails, `spawn` returns its error.
    ///
    /// # Safety
    /// `f` runs between `fork` and `exec` of a process with several threads. It may do only what a signal handler may do: it
    /// must not allocate or take a lock.
    pub unsafe fn pre_exec<F>(&mut self, f: F) -> &mut Self
    where
        F: FnMut() -> io::Result<()> + Send + Sync + 'static,
    {
        // SAFETY: by the safety contract, which is that of the function called.
        unsafe { self.std.pre_exec(f) };
        self
    }

    /// Starts the process.
    ///
    /// # Panics
    /// Outside of a runtime, and in one that was built without I/O.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound), [`PermissionDenied`](io::ErrorKind::PermissionDenied), `EAGAIN` at the limit of
    /// processes, `EMFILE` if no descriptor is left.
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

    /// Like [`spawn`](Self::spawn), but `with` starts the process. It is for methods of the standard library's `Command` that
    /// this type lacks.
    ///
    /// # Panics
    /// Outside of a runtime, and in one that was built without I/O.
    ///
    /// # Errors
    /// The error of `with`, and those of [`spawn`](Self::spawn).
    ///
    /// # Examples
    /// ```
    /// use redd::process::Command;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mut child = Command::new("true").spawn_with(|command| command.spawn())?;
    /// assert!(child.wait().await?.success());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn spawn_with(
        &mut self,
        with: impl FnOnce(&mut StdCommand) -> io::Result<std::process::Child>,
    ) -> io::Result<Child> {
        // First of all: without a driver nothing could wait for the process.
        let driver = current_driver();
        if baton::is_member() {
            let program = self.std.get_program().to_string_lossy();
            return Err(refused(format_args!(
                "a simulated world has no child processes, so `{program}` was not started: what it does is no function of the seed. Run this \
                 code outside of the world, or make the program a host of the world"
            )));
        }
        let on_drop = if self.kill_on_drop { OnDrop::Kill } else { OnDrop::RunOn };
        Child::new(with(&mut self.std)?, on_drop, &driver)
    }

    /// Starts the process and waits until it ends. Piped streams are closed at once.
    ///
    /// # Cancel safety
    /// Dropping the future drops the [`Child`].
    ///
    /// # Panics
    /// Outside of a runtime, and in one that was built without I/O.
    ///
    /// # Errors
    /// Those of [`spawn`](Self::spawn) and [`Child::wait`].
    #[track_caller]
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        let spawned = self.spawn();
        located(async move {
            let mut child = spawned?;
            drop((child.stdin.take(), child.stdout.take(), child.stderr.take()));
            child.wait_until_end().await
        })
    }

    /// Starts the process with piped outputs, and waits until it ends. Returns its status and its output.
    ///
    /// # Cancel safety
    /// Dropping the future drops the [`Child`], and the output that was read is lost.
    ///
    /// # Panics
    /// Outside of a runtime, and in one that was built without I/O.
    ///
    /// # Errors
    /// Those of [`spawn`](Self::spawn) and [`Child::wait_with_output`].
    #[track_caller]
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + use<> {
        self.std.stdout(Stdio::piped()).stderr(Stdio::piped());
        let spawned = self.spawn();
        located(async move { spawned?.into_output().await })
    }
}
