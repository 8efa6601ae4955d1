//! Files and directories as user code uses them, and a file compared with that of std.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use proptest::prelude::*;
use redd::fs::*;
use redd::io::{
    AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt, AsyncWrite, AsyncWriteExt, BufReader, BufStream, BufWriter,
};
use std::collections::BTreeSet;
use std::fs::File as StdFile;
use std::io::{ErrorKind, IoSlice, Read, Seek, SeekFrom, Write};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::SystemTime;
use support::{block_on, poll_once};

fn temporary() -> StdFile {
    tempfile::tempfile().unwrap()
}

#[test]
fn written_bytes_can_be_read_after_a_seek() {
    block_on(async {
        let mut file = File::from_std(temporary());
        file.write_all(b"redd ").await.unwrap();
        let pieces = [IoSlice::new(b"sal"), IoSlice::new(b""), IoSlice::new(b"mon")];
        assert_eq!(file.write_vectored(&pieces).await.unwrap(), 6);
        assert_eq!(file.seek(SeekFrom::Start(5)).await.unwrap(), 5);
        let mut text = String::new();
        file.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "salmon");
        assert_eq!(file.stream_position().await.unwrap(), 11);
    });
}

#[test]
fn a_file_that_is_a_mere_place_has_no_position() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "salmon").unwrap();
        let mut file = File::options().read(true).custom_flags(libc::O_PATH).open(&path).await.unwrap();
        for _ in 0..3 {
            assert_eq!(file.read(&mut [0; 3]).await.unwrap_err().raw_os_error(), Some(libc::EBADF));
            for position in [SeekFrom::Start(1), SeekFrom::Current(1), SeekFrom::End(0)] {
                assert_eq!(file.seek(position).await.unwrap_err().raw_os_error(), Some(libc::EBADF));
            }
        }
    });
}

#[test]
fn the_next_operation_reports_the_error_of_a_write() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "").unwrap();
        let mut file = File::open(&path).await.unwrap();
        assert_eq!(file.write(b"x").await.unwrap(), 1);
        assert!(file.flush().await.is_err());
        file.flush().await.unwrap();
        assert_eq!(file.write(b"x").await.unwrap(), 1);
        assert!(file.write(b"x").await.is_err());
        assert_eq!(file.write(b"x").await.unwrap(), 1);
        assert!(file.sync_all().await.is_err());
        assert_eq!(file.write(b"x").await.unwrap(), 1);
        assert!(file.shutdown().await.is_err());
    });
}

#[test]
fn bytes_read_ahead_by_a_dropped_read_are_not_lost() {
    block_on(async {
        let mut std = temporary();
        std.write_all(b"salmon").unwrap();
        std.rewind().unwrap();
        let mut file = File::from_std(std);
        let mut buf = [0; 6];
        // Either the read is ready at once, or the next read returns its bytes.
        let len = match poll_once(pin!(file.read(&mut buf))) {
            Poll::Ready(len) => len.unwrap(),
            Poll::Pending => file.read(&mut buf[..2]).await.unwrap(),
        };
        assert_eq!(&buf[..len], &b"salmon"[..len]);
        // A write goes to the reader's position, not to the end of the read-ahead.
        file.write_all(b"X").await.unwrap();
        file.rewind().await.unwrap();
        let mut all = Vec::new();
        file.read_to_end(&mut all).await.unwrap();
        let mut expected = b"salmon".to_vec();
        expected.resize(expected.len().max(len + 1), 0);
        expected[len] = b'X';
        assert_eq!(all, expected);
    });
}

/// Blocks the only thread of the pool until the sender is dropped.
fn block_pool() -> std::sync::mpsc::Sender<()> {
    let (release, hold) = std::sync::mpsc::channel::<()>();
    drop(redd::task::spawn_blocking(move || hold.recv()));
    release
}

/// Runs a test with a pool of one thread, so that operations are in flight as long as the test blocks it.
fn with_one_pool_thread(test: impl AsyncFnOnce(File)) {
    let mut std = temporary();
    std.write_all(b"salmon").unwrap();
    std.rewind().unwrap();
    let runtime = redd::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(test(File::from_std(std)));
}

/// An operation on a file, for [`begin_and_drop`].
type Begin = for<'a> fn(&'a mut File) -> Pin<Box<dyn Future<Output = std::io::Result<()>> + 'a>>;

/// Starts the operation while the pool is busy, and drops its future.
fn begin_and_drop(file: &mut File, begin: Begin) {
    assert!(poll_once(begin(file).as_mut()).is_pending());
}

const UNPOSITIONED: [(&str, Begin); 7] = [
    ("sync_all", |file| Box::pin(file.sync_all())),
    ("sync_data", |file| Box::pin(file.sync_data())),
    ("set_times", |file| Box::pin(file.set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH)))),
    ("set_modified", |file| Box::pin(file.set_modified(SystemTime::UNIX_EPOCH))),
    ("set_permissions", |file| {
        Box::pin(async move {
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            file.set_permissions(permissions).await
        })
    }),
    ("try_clone", |file| Box::pin(async move { file.try_clone().await.map(drop) })),
    ("set_len", |file| Box::pin(file.set_len(4))),
];

#[test]
fn a_seek_can_be_started_after_a_dropped_operation_that_has_no_position() {
    for (name, begin) in UNPOSITIONED.into_iter().filter(|(name, _)| *name != "set_len") {
        with_one_pool_thread(async |mut file| {
            let release = block_pool();
            begin_and_drop(&mut file, begin);
            // It counts from the end, so it needs the pool.
            Pin::new(&mut file).start_seek(SeekFrom::End(-3)).unwrap_or_else(|error| panic!("{name}: {error}"));
            drop(release);
            assert_eq!(std::future::poll_fn(|cx| Pin::new(&mut file).poll_complete(cx)).await.unwrap(), 3, "{name}");
            let mut rest = String::new();
            file.read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, "mon", "{name}");
        });
    }
}

#[test]
fn what_begins_after_an_operation_whose_future_was_dropped_is_as_after_its_end() {
    for (name, begin) in UNPOSITIONED {
        let text = if name == "set_len" { "salm" } else { "salmon" };
        with_one_pool_thread(async |mut file| {
            let release = block_pool();
            begin_and_drop(&mut file, begin);
            drop(release);
            assert_eq!(file.seek(SeekFrom::Start(2)).await.unwrap(), 2, "{name}");
        });
        with_one_pool_thread(async |mut file| {
            let release = block_pool();
            begin_and_drop(&mut file, begin);
            drop(release);
            let mut read = String::new();
            file.read_to_string(&mut read).await.unwrap();
            assert_eq!(read, text, "{name}, then read");
        });
        with_one_pool_thread(async |mut file| {
            let release = block_pool();
            begin_and_drop(&mut file, begin);
            drop(release);
            file.write_all(b"S").await.unwrap();
            file.flush().await.unwrap();
            assert_eq!(file.stream_position().await.unwrap(), 1, "{name}");
            file.rewind().await.unwrap();
            let mut read = String::new();
            file.read_to_string(&mut read).await.unwrap();
            assert_eq!(read, text.replace('s', "S"), "{name}, then write");
        });
        with_one_pool_thread(async |mut file| {
            let release = block_pool();
            begin_and_drop(&mut file, begin);
            drop(release);
            file.set_len(2).await.unwrap();
            file.sync_all().await.unwrap();
            assert_eq!(file.metadata().await.unwrap().len(), 2, "{name}, then set_len");
            let mut std = file.into_std().await;
            let mut read = String::new();
            std.read_to_string(&mut read).unwrap();
            assert_eq!(read, "sa", "{name}, then into_std");
        });
    }
}

#[test]
fn the_end_of_the_file_that_a_dropped_read_found_is_forgotten_by_what_waits_for_it() {
    let wait: [(&str, Begin); 4] = [
        ("flush", |file| Box::pin(file.flush())),
        ("sync_all", |file| Box::pin(file.sync_all())),
        ("stream_position", |file| Box::pin(async move { file.stream_position().await.map(drop) })),
        ("set_len", |file| Box::pin(file.set_len(6))),
    ];
    for (name, wait) in wait {
        with_one_pool_thread(async |mut file| {
            assert_eq!(file.seek(SeekFrom::End(0)).await.unwrap(), 6);
            // A file with two descriptors is not read on the worker.
            let mut other = file.try_clone().await.unwrap().into_std().await;
            let release = block_pool();
            begin_and_drop(&mut file, |file| Box::pin(async move { file.read(&mut [0; 4]).await.map(drop) }));
            drop(release);
            wait(&mut file).await.unwrap();
            other.write_all(b"redd").unwrap();
            other.seek(SeekFrom::Start(6)).unwrap();
            let mut buf = [0; 8];
            let len = file.read(&mut buf).await.unwrap();
            assert_eq!(&buf[..len], b"redd", "after {name}");
        });
    }
}

#[test]
fn a_failed_seek_does_not_move_the_reader() {
    block_on(async {
        let mut std = temporary();
        std.write_all(b"salmon").unwrap();
        std.rewind().unwrap();
        let mut file = File::from_std(std);
        let place = match poll_once(pin!(file.read(&mut [0; 5]))) {
            Poll::Ready(len) => len.unwrap(),
            Poll::Pending => 0,
        };
        assert!(file.seek(SeekFrom::Current(-6)).await.is_err());
        let mut rest = Vec::new();
        file.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, &b"salmon"[place..]);
    });
}

#[test]
fn operations_through_a_shared_reference_wait_for_each_other() {
    block_on(async {
        let mut file = File::from_std(temporary());
        file.write_all(b"salmon").await.unwrap();
        let (a, b, c) = futures::join!(file.set_len(3), file.sync_all(), file.sync_data());
        a.and(b).and(c).unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 3);
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        file.set_times(FileTimes::new().set_accessed(time).set_modified(time)).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().modified().unwrap(), time);
        assert_eq!(file.metadata().await.unwrap().accessed().unwrap(), time);
        file.set_modified(SystemTime::UNIX_EPOCH).await.unwrap();
        assert_eq!(file.metadata().await.unwrap().modified().unwrap(), SystemTime::UNIX_EPOCH);
    });
}

#[test]
fn into_std_waits_for_the_operation_in_flight() {
    block_on(async {
        let mut file = File::from_std(temporary());
        file.write_all(b"salmon").await.unwrap();
        let mut std = file.into_std().await;
        std.rewind().unwrap();
        let mut text = String::new();
        std.read_to_string(&mut text).unwrap();
        assert_eq!(text, "salmon");
        assert!(File::from_std(std).try_into_std().is_ok());
    });
}

#[test]
fn one_operation_moves_at_most_the_maximum() {
    block_on(async {
        let mut file = File::from_std(temporary());
        file.set_max_buf_size(2);
        assert_eq!(file.try_clone().await.unwrap().max_buf_size(), 2);
        assert_eq!(file.write(b"salmon").await.unwrap(), 2);
        file.write_all(b"lmon").await.unwrap();
        file.rewind().await.unwrap();
        let mut buf = [0; 6];
        assert_eq!(file.read(&mut buf).await.unwrap(), 2);
        assert_eq!(file.read(&mut []).await.unwrap(), 0);
        assert_eq!(file.read(&mut buf).await.unwrap(), 2);
        assert_eq!(&buf[..2], b"lm");
    });
}

#[test]
#[should_panic(expected = "`max_buf_size` must be greater than 0")]
fn a_maximum_of_zero_bytes_panics() {
    File::from_std(temporary()).set_max_buf_size(0);
}

#[test]
fn opening_follows_the_options() {
    block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        assert_eq!(File::open(&path).await.unwrap_err().kind(), ErrorKind::NotFound);
        let mut file = File::create_new(&path).await.unwrap();
        file.write_all(b"salmon").await.unwrap();
        // Without it, the write may come after the next open has emptied the file.
        file.flush().await.unwrap();
        let error = File::create_new(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        File::create(&path).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        assert!(format!("{:?}", OpenOptions::new().append(true)).contains("append: true"));
    });
}

#[test]
fn buffered_seeks_after_writes_find_the_right_position() {
    block_on(async {
        for (seek, expected) in [(SeekFrom::End(-2), 4), (SeekFrom::Current(-2), 4), (SeekFrom::Start(1), 1)] {
            let mut reader = BufReader::new(File::from_std(temporary()));
            reader.write_all(b"salmon").await.unwrap();
            assert_eq!(reader.seek(seek).await.unwrap(), expected);
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, &b"salmon"[expected as usize..]);
        }
    });
}

#[test]
fn an_accepted_write_finishes_although_file_and_runtime_are_dropped() {
    for _ in 0..20 {
        let mut std = temporary();
        let mut file = File::from_std(std.try_clone().unwrap());
        let runtime = redd::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { file.write_all(b"salmon").await.unwrap() });
        drop(file);
        drop(runtime);
        std.rewind().unwrap();
        let mut text = String::new();
        std.read_to_string(&mut text).unwrap();
        assert_eq!(text, "salmon");
    }
}

#[test]
fn operations_after_the_shutdown_of_the_runtime_fail_and_leave_the_file_usable() {
    let runtime = redd::runtime::Builder::new_current_thread().build().unwrap();
    let handle = runtime.handle().clone();
    runtime.shutdown_background();
    let mut file = File::from_std(temporary());
    {
        let _guard = handle.enter();
        // The report that no thread is available needs no thread itself.
        futures::executor::block_on(async {
            for _ in 0..2 {
                assert!(file.write(b"x").await.is_err());
                assert!(file.read(&mut [0; 4]).await.is_err());
                assert!(file.rewind().await.is_err());
                assert!(file.set_len(1).await.is_err());
                file.flush().await.unwrap();
            }
        });
    }
    block_on(async {
        file.write_all(b"salmon").await.unwrap();
        assert_eq!(file.stream_position().await.unwrap(), 6);
    });
}

#[derive(Clone, Debug)]
enum Op {
    Read(usize),
    /// Starts a read and drops it at once: only its read-ahead may remain.
    PeekRead(usize),
    Write(Vec<u8>),
    Seek(SeekFrom),
    SetLen(u64),
    Sync,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..9_usize).prop_map(Op::Read),
        (1..9_usize).prop_map(Op::PeekRead),
        proptest::collection::vec(any::<u8>(), 0..9).prop_map(Op::Write),
        (0..30_u64).prop_map(|n| Op::Seek(SeekFrom::Start(n))),
        (-9..9_i64).prop_map(|n| Op::Seek(SeekFrom::Current(n))),
        (-9..9_i64).prop_map(|n| Op::Seek(SeekFrom::End(n))),
        (0..30_u64).prop_map(Op::SetLen),
        Just(Op::Sync),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_file_behaves_like_that_of_std(ops in proptest::collection::vec(op(), 0..24), max in 1..12_usize) {
        let (mut ours, mut theirs) = (File::from_std(temporary()), temporary());
        ours.set_max_buf_size(max);
        block_on(async {
            for op in ops {
                match op {
                    Op::Read(len) => {
                        let (mut a, mut b) = (vec![0; len], vec![0; len]);
                        let read = ours.read(&mut a).await.unwrap();
                        // Read-ahead and the maximum may shorten a read.
                        prop_assert_eq!(theirs.read(&mut b[..read]).unwrap(), read);
                        prop_assert_eq!(&a[..read], &b[..read]);
                        if read == 0 && len > 0 {
                            prop_assert_eq!(theirs.read(&mut b).unwrap(), 0);
                        }
                    }
                    Op::PeekRead(len) => {
                        let mut a = vec![0; len];
                        if let Poll::Ready(read) = poll_once(pin!(ours.read(&mut a))) {
                            let read = read.unwrap();
                            theirs.read_exact(&mut a[..read]).unwrap();
                        }
                    }
                    Op::Write(bytes) => {
                        ours.write_all(&bytes).await.unwrap();
                        theirs.write_all(&bytes).unwrap();
                    }
                    Op::Seek(position) => {
                        prop_assert_eq!(ours.seek(position).await.ok(), theirs.seek(position).ok());
                    }
                    Op::SetLen(len) => {
                        ours.set_len(len).await.unwrap();
                        theirs.set_len(len).unwrap();
                    }
                    Op::Sync => ours.sync_data().await.unwrap(),
                }
            }
            ours.flush().await.unwrap();
            let (mut a, mut b) = (Vec::new(), Vec::new());
            ours.rewind().await.unwrap();
            ours.read_to_end(&mut a).await.unwrap();
            theirs.rewind().unwrap();
            theirs.read_to_end(&mut b).unwrap();
            prop_assert_eq!(a, b);
            Ok(())
        })?;
    }
}

trait Stream: AsyncRead + AsyncWrite + AsyncSeek + Unpin {}
impl<S: AsyncRead + AsyncWrite + AsyncSeek + Unpin> Stream for S {}

/// The adapters that implement `AsyncSeek`, around a file.
fn buffered(shape: usize, file: File, reader: usize, writer: usize) -> Box<dyn Stream> {
    match shape {
        0 => Box::new(BufReader::with_capacity(reader, file)),
        1 => Box::new(BufWriter::with_capacity(writer, file)),
        2 => Box::new(BufStream::with_capacity(reader, writer, file)),
        3 => Box::new(BufReader::with_capacity(reader, BufWriter::with_capacity(writer, file))),
        _ => Box::new(BufWriter::with_capacity(writer, BufReader::with_capacity(reader, Box::pin(file)))),
    }
}

#[derive(Clone, Debug)]
enum BufferedOp {
    Read(usize),
    Write(Vec<u8>),
    WriteVectored(Vec<u8>, Vec<u8>),
    Flush,
    Position,
}

fn buffered_op() -> impl Strategy<Value = BufferedOp> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..9);
    prop_oneof![
        3 => (0..9_usize).prop_map(BufferedOp::Read),
        3 => bytes().prop_map(BufferedOp::Write),
        1 => (bytes(), bytes()).prop_map(|(a, b)| BufferedOp::WriteVectored(a, b)),
        1 => Just(BufferedOp::Flush),
        1 => Just(BufferedOp::Position),
    ]
}

fn position() -> impl Strategy<Value = SeekFrom> {
    prop_oneof![
        (0..30_u64).prop_map(SeekFrom::Start),
        (-9..9_i64).prop_map(SeekFrom::Current),
        (-9..9_i64).prop_map(SeekFrom::End),
    ]
}

/// One seek by poll functions: `poll_complete` is not called before `start_seek`.
async fn poll_seek(stream: &mut (dyn Stream + '_), position: SeekFrom) -> std::io::Result<u64> {
    Pin::new(&mut *stream).start_seek(position)?;
    std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_complete(cx)).await
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn a_buffered_file_behaves_like_that_of_std(
        steps in proptest::collection::vec((position(), any::<bool>(), buffered_op()), 0..24),
        shape in 0..5_usize, reader in 1..9_usize, writer in 0..9_usize, max in 1..12_usize,
    ) {
        let mut theirs = temporary();
        let std = temporary();
        let mut file = File::from_std(std.try_clone().unwrap());
        file.set_max_buf_size(max);
        let mut ours = buffered(shape, file, reader, writer);
        // `File::start_seek` fails while a write is in flight; these adapters wait for it.
        block_on(async {
            for (position, by_hand, op) in steps {
                let moved = if by_hand { poll_seek(&mut *ours, position).await } else { ours.seek(position).await };
                let is_moved = moved.is_ok();
                prop_assert_eq!(moved.ok(), theirs.seek(position).ok());
                if !is_moved {
                    // Then the read-ahead remains, and a write would follow it.
                    prop_assert_eq!(ours.rewind().await.ok(), theirs.rewind().ok().map(|()| 0));
                }
                match op {
                    BufferedOp::Read(len) => {
                        let (mut a, mut b) = (vec![0; len], vec![0; len]);
                        let read = ours.read(&mut a).await.unwrap();
                        prop_assert_eq!(theirs.read(&mut b[..read]).unwrap(), read);
                        prop_assert_eq!(&a[..read], &b[..read]);
                    }
                    BufferedOp::Write(bytes) => {
                        ours.write_all(&bytes).await.unwrap();
                        theirs.write_all(&bytes).unwrap();
                    }
                    BufferedOp::WriteVectored(a, b) => {
                        let pieces = [IoSlice::new(&a), IoSlice::new(&b)];
                        let written = ours.write_vectored(&pieces).await.unwrap();
                        theirs.write_all(&[a, b].concat()[..written]).unwrap();
                    }
                    BufferedOp::Flush => ours.flush().await.unwrap(),
                    BufferedOp::Position => {
                        prop_assert_eq!(ours.stream_position().await.unwrap(), theirs.stream_position().unwrap());
                    }
                }
            }
            ours.flush().await.unwrap();
            Ok(())
        })?;
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for (mut file, bytes) in [(std, &mut a), (theirs, &mut b)] {
            file.rewind().unwrap();
            file.read_to_end(bytes).unwrap();
        }
        prop_assert_eq!(a, b);
    }
}

#[test]
fn files_are_written_read_linked_renamed_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b, c) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("c"));
    block_on(async {
        write(&a, "salmon").await.unwrap();
        assert_eq!(copy(&a, &b).await.unwrap(), 6);
        assert_eq!(read(&b).await.unwrap(), b"salmon");
        assert_eq!(read_to_string(&b).await.unwrap(), "salmon");
        assert_eq!(metadata(&b).await.unwrap().len(), 6);
        rename(&b, &c).await.unwrap();
        assert!(!try_exists(&b).await.unwrap());
        hard_link(&c, &b).await.unwrap();
        remove_file(&c).await.unwrap();
        assert!(try_exists(&b).await.unwrap());
        symlink(&b, &c).await.unwrap();
        assert_eq!(read_link(&c).await.unwrap(), b);
        assert!(symlink_metadata(&c).await.unwrap().is_symlink());
        assert_eq!(canonicalize(&c).await.unwrap(), canonicalize(&b).await.unwrap());
        let mut permissions = metadata(&a).await.unwrap().permissions();
        permissions.set_readonly(true);
        set_permissions(&a, permissions).await.unwrap();
        assert!(metadata(&a).await.unwrap().permissions().readonly());
    });
}

#[test]
fn directories_are_created_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (outer, inner) = (dir.path().join("a"), dir.path().join("a/b/c"));
    block_on(async {
        assert_eq!(create_dir(&inner).await.unwrap_err().kind(), ErrorKind::NotFound);
        create_dir_all(&inner).await.unwrap();
        remove_dir(&inner).await.unwrap();
        remove_dir_all(&outer).await.unwrap();
        create_dir(&outer).await.unwrap();
    });
}

#[test]
fn a_path_with_a_nul_byte_is_an_error() {
    let error = block_on(read("sal\0mon")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn all_entries_of_several_batches_are_listed_once() {
    let dir = tempfile::tempdir().unwrap();
    let names: BTreeSet<_> = (0..97).map(|n| format!("{n}")).collect();
    for name in &names {
        std::fs::write(dir.path().join(name), "").unwrap();
    }
    block_on(async {
        let mut entries = read_dir(dir.path()).await.unwrap();
        let mut found = BTreeSet::new();
        loop {
            // A future that is dropped loses no entry.
            if let Poll::Ready(entry) = poll_once(pin!(entries.next_entry())) {
                let Some(entry) = entry.unwrap() else { break };
                assert!(found.insert(entry.file_name().into_string().unwrap()));
                continue;
            }
            let Some(entry) = entries.next_entry().await.unwrap() else {
                break;
            };
            assert!(found.insert(entry.file_name().into_string().unwrap()));
        }
        assert_eq!(found, names);
    });
}

#[test]
fn an_entry_returns_the_metadata_of_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    std::fs::write(&path, "salmon").unwrap();
    block_on(async {
        let mut entries = read_dir(dir.path()).await.unwrap();
        let entry = entries.next_entry().await.unwrap().unwrap();
        assert_eq!((entry.path(), entry.file_name()), (path, "a".into()));
        assert_eq!(entry.metadata().await.unwrap().len(), 6);
        assert!(entry.file_type().await.unwrap().is_file());
        assert!(entry.ino() > 0);
    });
}

#[test]
fn a_builder_creates_directories_with_its_options() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("a/b");
    block_on(async {
        assert!(DirBuilder::new().create(&inner).await.is_err());
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&inner).await.unwrap();
        builder.create(&inner).await.unwrap();
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&inner).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    });
}
