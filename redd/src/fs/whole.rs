//! Reading a whole file: on the worker, as long as the kernel has it in its caches, and the rest on the blocking pool.
//!
//! Called by `functions`.
//!
//! # Invariants
//! - `read-once`: the file's position is the length of `bytes`. So the pool goes on where the worker has stopped.

#![expect(unsafe_code, reason = "reads into memory that is not initialised")]

use std::fs::File as StdFile;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;

use super::cached::{self, Now, Opened, at_once, turn};
use super::mounts::Storage;
use crate::blocking::run;
use crate::io::background::BYTES_PER_UNIT;
use crate::sys;
use crate::sys::file::ReadNow;
use crate::task::coop::spend;

/// A larger file goes to the pool, whose trip is short against the time that it takes to read it.
const WHOLE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Most bytes read in one system call on the worker.
const PIECE_BYTES: usize = 256 * 1024;

/// Reads a file to its end, and returns what `f` makes of the bytes. The pool runs `later` if the file cannot be opened at once.
pub(super) async fn read<R: Send + 'static>(
    path: impl AsRef<Path>,
    f: impl FnOnce(Vec<u8>) -> io::Result<R> + Send + 'static,
    later: fn(&Path) -> io::Result<R>,
) -> io::Result<R> {
    turn().await;
    match at_once(|| open(path.as_ref())) {
        Ok(whole) => whole?.read(f).await,
        Err(pool) => pool.run(path, later).await,
    }
}

/// A file that is read from its start to its end.
#[derive(Debug)]
struct Whole {
    file: StdFile,
    /// `read-once`
    bytes: Vec<u8>,
    /// The file's length when it was opened.
    len: usize,
    storage: Storage,
}

/// How the worker goes on.
enum Progress {
    /// Read the next piece.
    More,
    /// All bytes are there.
    End,
    /// The pool reads the rest.
    Wait,
}

/// Opens a file to be read as a whole, if that needs no wait.
fn open(path: &Path) -> Now<Whole> {
    let opened = match cached::open_nonblocking(path)? {
        Ok(opened) => opened,
        Err(error) => return Ok(Err(error)),
    };
    let Opened { file, len, storage } = opened;
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    Ok(Ok(Whole { file, bytes: Vec::new(), len, storage }))
}

impl Whole {
    /// Reads to the end, and returns what `f` makes of the bytes.
    async fn read<R: Send + 'static>(
        mut self,
        f: impl FnOnce(Vec<u8>) -> io::Result<R> + Send + 'static,
    ) -> io::Result<R> {
        if self.len > WHOLE_BYTES_MAX {
            return run(move || f(self.finish()?)).await;
        }
        self.bytes.try_reserve_exact(self.len)?;
        loop {
            turn().await;
            match self.read_piece() {
                Progress::More => {}
                Progress::End => return f(self.bytes),
                Progress::Wait => return run(move || f(self.finish()?)).await,
            }
        }
    }

    /// Reads what is in memory, into the room for it.
    fn read_piece(&mut self) -> Progress {
        let before = self.bytes.len();
        let left = self.len - before;
        if left == 0 {
            return Progress::End;
        }
        let room = &mut self.bytes.spare_capacity_mut()[..left.min(PIECE_BYTES)];
        let read = match self.storage {
            Storage::Memory => sys::read_uninit(self.file.as_fd(), room).map(ReadNow::Read),
            Storage::Disk | Storage::Other => sys::file::read_now(self.file.as_fd(), room),
        };
        // The pool reports an error: it reads at the same place.
        let Ok(ReadNow::Read(len)) = read else { return Progress::Wait };
        spend(len / BYTES_PER_UNIT);
        // SAFETY: the system has written so many bytes to the room behind the others.
        unsafe { self.bytes.set_len(before + len) };
        match len {
            // The file has become shorter.
            0 => Progress::End,
            _ if len == left => Progress::End,
            _ => Progress::More,
        }
    }

    /// Reads the rest, as std does. Called on the pool.
    fn finish(mut self) -> io::Result<Vec<u8>> {
        // As std: one allocation, and an error if there is no memory for it.
        self.bytes.try_reserve_exact(self.len - self.bytes.len())?;
        self.file.read_to_end(&mut self.bytes)?; // `read-once`
        Ok(self.bytes)
    }
}

#[cfg(all(test, not(any(miri, loom, shuttle))))]
mod tests {
    use super::*;
    use crate::runtime::{Builder, Runtime};
    use crate::sys::faults::{self, Call};
    use std::io::{Seek, Write};

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().expect("the system has threads")
    }

    fn has_thread(runtime: &Runtime) -> bool {
        runtime.metrics().num_blocking_threads() > 0
    }

    fn contents() -> Vec<u8> {
        (0..3 * PIECE_BYTES as u32).map(|number| (number / 7) as u8).collect()
    }

    fn file(contents: &[u8]) -> StdFile {
        let mut file = tempfile::tempfile().expect("room for a file");
        file.write_all(contents).expect("room for its contents");
        file.rewind().expect("a file has a position");
        file
    }

    fn whole(file: &StdFile, storage: Storage) -> Whole {
        let (file, len) = (file.try_clone().expect("descriptors left"), file.metadata().expect("is open").len());
        Whole { file, bytes: Vec::with_capacity(len as usize), len: len as usize, storage }
    }

    #[test]
    fn the_pool_goes_on_where_the_worker_has_stopped() {
        let contents = contents();
        for (storage, call) in [(Storage::Disk, Call::ReadNow), (Storage::Memory, Call::Read)] {
            for stop in 0..3 {
                for errno in [libc::EAGAIN, libc::EOPNOTSUPP, libc::ENOMEM, libc::EIO] {
                    let (runtime, file) = (runtime(), file(&contents));
                    faults::plan(call, stop, errno);
                    let read = runtime.block_on(whole(&file, storage).read(Ok)).expect("the pool can read it");
                    assert!(read == contents, "{storage:?} {stop} {errno}");
                    assert!(has_thread(&runtime));
                }
            }
        }
    }

    #[test]
    fn a_file_that_gets_shorter_ends_there_and_one_that_grows_ends_at_its_first_length() {
        let contents = contents();
        for storage in [Storage::Disk, Storage::Memory] {
            let file = file(&contents);
            let mut shorter = whole(&file, storage);
            let _first = shorter.read_piece();
            file.set_len(PIECE_BYTES as u64 + 10).expect("room for less");
            let read = runtime().block_on(shorter.read(Ok)).expect("it can be read");
            assert!(read == contents[..PIECE_BYTES + 10]);
            (&file).rewind().expect("a file has a position");
            let mut longer = whole(&file, storage);
            let _first = longer.read_piece();
            file.set_len(contents.len() as u64).expect("room for more");
            let read = runtime().block_on(longer.read(Ok)).expect("it can be read");
            assert!(read.len() >= PIECE_BYTES + 10 && read[..PIECE_BYTES + 10] == contents[..PIECE_BYTES + 10]);
        }
    }

    #[test]
    fn text_is_checked_as_std_checks_it() {
        use crate::fs::operations::into_text;
        assert_eq!(into_text(b"salmon".to_vec()).expect("is text"), "salmon");
        let directory = tempfile::tempdir().expect("room for a directory");
        std::fs::write(directory.path().join("a"), [0xff]).expect("room for a file");
        let expected = std::fs::read_to_string(directory.path().join("a")).expect_err("is no text");
        let error = into_text(vec![0xff]).expect_err("is no text");
        assert_eq!((error.kind(), error.to_string()), (expected.kind(), expected.to_string()));
    }
}
