//! Files that the rows read and write, and the receiver of what they copy into a socket.
//!
//! Called by `files` and by the loops of `floors`.

#![allow(dead_code, reason = "no program uses all of it")]

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

pub const PIECE: usize = 4096;
pub const MEGABYTE: usize = 1024 * 1024;
/// The file of the cold rows.
pub const COLD: usize = 16 * MEGABYTE;
/// How many writes there are between two flushes.
pub const WRITES: usize = 64;
pub const LINE: usize = 64;

/// A file that is removed when this value is dropped. Where it is: `TMPDIR`, or `/tmp`.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(length: usize) -> Scratch {
        Scratch::numbered(length, 0)
    }

    pub fn numbered(length: usize, number: usize) -> Scratch {
        let path = std::env::temp_dir().join(format!("redd-bench-{}-{length}-{number}", std::process::id()));
        let line = [&[b'x'; LINE - 1][..], b"\n"].concat();
        std::fs::write(&path, line.repeat(length / LINE)).expect("there is a folder for temporary files");
        Scratch(path)
    }

    /// Drops the file from the page cache. Has no effect in a file system without a disk.
    pub fn cool(&self) {
        let mut file = File::options().write(true).open(&self.0).expect("it is there");
        file.flush().expect("it has no buffer");
        file.sync_data().expect("there is room on the disk");
        // SAFETY: the call takes no pointer.
        let result = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        assert_eq!(result, 0, "a file can be dropped from the cache");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// Where the read with this number begins, in a file of so many bytes: another piece each time, and each piece once
/// before a piece comes again.
pub fn place(number: u64, length: usize) -> u64 {
    let pieces = (length / PIECE) as u64;
    // An odd step visits each of a power of two of pieces.
    (number * 97 % pieces) * PIECE as u64
}

/// A process that discards what each connection sends. It is a process of its own, because its CPU time is not part of
/// the row. It ends with the row's process.
///
/// Call it before the first thread starts.
pub fn drain() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
    let address = listener.local_addr().expect("it is bound");
    // SAFETY: this process has one thread, so the child may do what it likes.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "the system has room for a process");
    if child > 0 {
        return address;
    }
    // SAFETY: the call takes no pointer.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    for stream in listener.incoming() {
        let Ok(stream) = stream else { break };
        // With `MSG_TRUNC` the kernel discards the bytes.
        // SAFETY: with `MSG_TRUNC` the kernel writes nothing to the pointer.
        while unsafe { libc::recv(stream.as_raw_fd(), std::ptr::null_mut(), MEGABYTE, libc::MSG_TRUNC) } > 0 {}
    }
    std::process::exit(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_is_read_once() {
        let mut places: Vec<u64> = (0..256).map(|number| place(number, MEGABYTE)).collect();
        places.sort_unstable();
        assert!(places.iter().enumerate().all(|(index, place)| *place == index as u64 * PIECE as u64));
    }
}
