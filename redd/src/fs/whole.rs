//! Reading a whole file: on the worker, as long as the kernel has it in its caches, and the rest on the blocking pool.
//!
//! Called by `functions`. Whether a read needs no disk, `direct` decides.
//!
//! As with std, the end is where a read returns 0. The length at opening is only the size of the first allocation: another
//! process may append to the file meanwhile.
//!
//! # Invariants
//! - `read-once`: the file's position is the length of `bytes`. So the pool goes on where the worker has stopped.

#![expect(unsafe_code, reason = "reads into memory that is not initialised")]

use std::fs::File as StdFile;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::path::Path;

use super::cached::{self, Now, Opened, at_once, turn};
use super::direct::Direct;
use crate::blocking::run;
use crate::io::background::BYTES_PER_UNIT;
use crate::task::coop::spend;

/// A larger file goes to the pool, whose trip is short against the time that it takes to read it.
const WHOLE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Most bytes read in one system call on the worker.
const PIECE_BYTES: usize = 256 * 1024;

/// Bytes on the stack that a read at the expected end writes to. Usually it reads nothing, and the vector need not grow.
const PROBE_BYTES: usize = 32;

/// Reads a file to its end, and returns what `f` makes of the bytes. The pool runs `later` if the file cannot be opened at once.
pub(super) async fn read<R: Send + 'static>(
    path: impl AsRef<Path>,
    f: impl FnOnce(Vec<u8>) -> io::Result<R> + Send + 'static,
    later: fn(&Path) -> io::Result<R>,
) -> io::Result<R> {
    turn().await;
    match at_once(|| open(path.as_ref())) {
        Ok(whole) => whole?.read(f).await,
        // `path-kept`
        Err(pool) => pool.run(path.as_ref(), later).await,
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
    direct: Direct,
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
    let Opened { file, len, direct } = opened;
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    Ok(Ok(Whole { file, bytes: Vec::new(), len, direct }))
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
            match self.read_piece()? {
                Progress::More => {}
                Progress::End => return f(self.bytes),
                Progress::Wait => return run(move || f(self.finish()?)).await,
            }
        }
    }

    /// Reads what is in memory, into the room for it, or beyond it if there is none.
    fn read_piece(&mut self) -> io::Result<Progress> {
        let before = self.bytes.len();
        let mut probe = [MaybeUninit::uninit(); PROBE_BYTES];
        let room = self.bytes.spare_capacity_mut();
        let (is_probe, room) = match room.len().min(PIECE_BYTES) {
            0 => (true, &mut probe[..]),
            len => (false, &mut room[..len]),
        };
        // The pool reports an error: it reads at the same place.
        let Some(Ok(len)) = self.direct.read(&self.file, room) else { return Ok(Progress::Wait) };
        if len == 0 {
            return Ok(Progress::End);
        }
        // A file that grows all the time must let others run, too.
        spend(len / BYTES_PER_UNIT + usize::from(before >= self.len));
        if is_probe {
            self.bytes.try_reserve(len)?;
            self.bytes.spare_capacity_mut()[..len].copy_from_slice(&probe[..len]);
        }
        // SAFETY: the system has written so many bytes to the room behind the others, or to the probe, which is copied there.
        unsafe { self.bytes.set_len(before + len) };
        Ok(if self.bytes.len() > WHOLE_BYTES_MAX { Progress::Wait } else { Progress::More })
    }

    /// Reads the rest, as std does. Called on the pool.
    fn finish(mut self) -> io::Result<Vec<u8>> {
        // As std: one allocation, and an error if there is no memory for it.
        self.bytes.try_reserve_exact(self.len.saturating_sub(self.bytes.len()))?;
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

    fn whole(file: &StdFile, is_in_memory: bool) -> Whole {
        let (file, len) = (file.try_clone().expect("descriptors left"), file.metadata().expect("is open").len());
        Whole { file, bytes: Vec::new(), len: len as usize, direct: Direct::regular(is_in_memory) }
    }

    /// Has read its first piece.
    fn started(file: &StdFile, is_in_memory: bool) -> Whole {
        let mut whole = whole(file, is_in_memory);
        whole.bytes.reserve_exact(whole.len);
        let _first = whole.read_piece().expect("it can be read");
        whole
    }

    #[test]
    fn the_pool_goes_on_where_the_worker_has_stopped() {
        let contents = contents();
        for (is_in_memory, call) in [(false, Call::ReadNow), (true, Call::Read)] {
            for stop in 0..4 {
                for errno in [libc::EAGAIN, libc::EOPNOTSUPP, libc::ENOMEM, libc::EIO] {
                    let (runtime, file) = (runtime(), file(&contents));
                    faults::plan(call, stop, errno);
                    let read = runtime.block_on(whole(&file, is_in_memory).read(Ok)).expect("the pool can read it");
                    assert!(read == contents, "{is_in_memory} {stop} {errno}");
                    assert!(has_thread(&runtime));
                }
            }
        }
    }

    #[test]
    fn the_end_is_where_a_read_returns_nothing_whatever_the_length_was_at_first() {
        let contents = contents();
        let lens = [0, 1, 31, 32, 33, 100, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 10, 3 * PIECE_BYTES];
        for is_in_memory in [false, true] {
            for before in lens {
                for after in lens {
                    // A file that becomes shorter than what was read is not tested here.
                    if after < before.min(PIECE_BYTES) {
                        continue;
                    }
                    let (runtime, file) = (runtime(), file(&contents[..before]));
                    let started = started(&file, is_in_memory);
                    file.set_len(after as u64).expect("room for it");
                    if let Some(added) = contents[..after].get(before..) {
                        std::os::unix::fs::FileExt::write_all_at(&file, added, before as u64).expect("room for it");
                    }
                    let read = runtime.block_on(started.read(Ok)).expect("it can be read");
                    assert!(read == contents[..after], "{is_in_memory} {before} {after}: {}", read.len());
                }
            }
        }
    }

    #[test]
    fn a_file_that_grows_beyond_the_limit_is_read_to_its_end_by_the_pool() {
        let contents = vec![7; WHOLE_BYTES_MAX + 100];
        for is_in_memory in [false, true] {
            let (runtime, mut file) = (runtime(), file(&contents[..10]));
            let started = started(&file, is_in_memory);
            file.write_all(&contents[10..]).expect("room for it");
            file.seek(io::SeekFrom::Start(10)).expect("a file has a position");
            let read = runtime.block_on(started.read(Ok)).expect("it can be read");
            assert!(read == contents && has_thread(&runtime));
        }
    }

    #[test]
    fn a_file_that_grows_all_the_time_uses_the_budget() {
        for is_in_memory in [false, true] {
            let file = file(b"");
            let mut whole = whole(&file, is_in_memory);
            let mut pieces = 0;
            let runtime = runtime();
            runtime.block_on(async {
                while crate::task::coop::has_budget_remaining() {
                    std::os::unix::fs::FileExt::write_all_at(&file, b"a", pieces).expect("room for it");
                    assert!(matches!(whole.read_piece(), Ok(Progress::More)));
                    pieces += 1;
                    assert!(pieces < 1000, "a piece uses no budget");
                }
            });
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
