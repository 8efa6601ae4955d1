//! What operations on files return: one table, which runs on the real disk and on that of a simulated world.
//!
//! Each case gets an empty directory, and writes down what it sees. The two texts must be equal.

use redd::fs::{self, DirBuilder, File, FileTimes, OpenOptions};
use redd::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufReader, BufWriter};
use std::fmt::Debug;
use std::future::Future;
use std::io::{IoSlice, Result, SeekFrom};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::{Duration, SystemTime};

/// What a case has seen.
pub(crate) struct Seen {
    pub(crate) root: PathBuf,
    pub(crate) lines: Vec<String>,
}

impl Seen {
    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Writes down a result. The directory of the case is left out.
    fn note<T: Debug>(&mut self, what: &str, result: Result<T>) -> Option<T> {
        let line = match &result {
            Ok(value) => format!("{what}: {value:?}"),
            Err(error) => format!("{what}: {:?} {:?}", error.kind(), error.raw_os_error()),
        };
        self.lines.push(line.replace(&*self.root.to_string_lossy(), "ROOT"));
        result.ok()
    }

    async fn look(&mut self, path: &str) {
        let metadata = fs::symlink_metadata(self.path(path)).await.map(|it| {
            // The size of a directory depends on the file system.
            (
                it.is_dir(),
                it.is_file(),
                it.is_symlink(),
                if it.is_dir() { 0 } else { it.len() },
                it.mode(),
                it.nlink().min(3),
            )
        });
        self.note(path, metadata.map(|it| (it.0, it.1, it.2, it.3, it.4, if it.0 { 0 } else { it.5 })));
    }

    async fn list(&mut self, path: &str) {
        let full = self.path(path);
        let listed = async {
            let mut entries = fs::read_dir(full).await?;
            let mut names = Vec::new();
            while let Some(entry) = entries.next_entry().await? {
                let kind = entry.file_type().await?;
                let is_same = entry.ino() == entry.metadata().await?.ino();
                names.push((entry.path(), entry.file_name(), kind.is_dir(), kind.is_symlink(), is_same));
            }
            names.sort();
            Ok(names)
        };
        let listed = listed.await;
        self.note(&format!("list {path}"), listed);
    }

    /// Everything below the directory of the case.
    async fn tree(&mut self) {
        let mut left = vec![PathBuf::new()];
        while let Some(relative) = left.pop() {
            let mut entries = fs::read_dir(self.root.join(&relative)).await.unwrap();
            let mut names = Vec::new();
            while let Some(entry) = entries.next_entry().await.unwrap() {
                names.push((entry.file_name(), entry.file_type().await.unwrap().is_dir()));
            }
            names.sort();
            for (name, is_dir) in names {
                let relative = relative.join(name);
                self.look(relative.to_str().unwrap()).await;
                if is_dir {
                    left.push(relative);
                }
            }
        }
    }
}

type Case = for<'a> fn(&'a mut Seen) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

macro_rules! cases {
    ($(fn $name:ident($seen:ident) $body:block)*) => {
        /// All cases with their names.
        pub(crate) const CASES: &[(&str, Case)] = &[$((stringify!($name), |$seen: &mut Seen| Box::pin(async move { $body }))),*];
    };
}

async fn read(path: impl AsRef<Path>) -> Result<String> {
    fs::read_to_string(path).await
}

cases! {
    fn files_are_written_and_read_as_a_whole(seen) {
        let path = seen.path("a");
        seen.note("read", fs::read(&path).await);
        seen.note("write", fs::write(&path, "salmon").await);
        seen.note("read", fs::read(&path).await);
        seen.note("write", fs::write(&path, "redd").await);
        seen.note("text", read(&path).await);
        seen.note("write", fs::write(&path, [0xff]).await);
        seen.note("text", read(&path).await);
        seen.note("directory", fs::read(&seen.root).await);
        seen.note("directory", fs::write(&seen.root, "").await);
        seen.note("below a file", fs::write(seen.path("a/b"), "").await);
        seen.note("missing", fs::write(seen.path("b/c"), "").await);
        seen.note("slash", fs::write(seen.path("b/"), "").await);
        seen.note("slash", fs::read(seen.path("a/")).await);
        seen.note("empty", fs::read("").await);
        seen.note("nul", fs::read("a\0b").await);
        seen.note("long", fs::read(seen.path(&"x".repeat(300))).await);
        seen.tree().await;
    }

    fn a_file_has_a_position(seen) {
        let mut file = File::create_new(seen.path("a")).await.unwrap();
        let pieces = [IoSlice::new(b"sal"), IoSlice::new(b""), IoSlice::new(b"mon")];
        seen.note("write", file.write_vectored(&pieces).await);
        seen.note("seek", file.seek(SeekFrom::Start(2)).await);
        let mut text = String::new();
        seen.note("read", file.read_to_string(&mut text).await);
        seen.note("text", Ok(text));
        seen.note("seek", file.seek(SeekFrom::End(3)).await);
        seen.note("write", file.write_all(b"redd").await);
        seen.note("flush", file.flush().await);
        seen.note("position", file.stream_position().await);
        seen.note("seek", file.seek(SeekFrom::Current(-100)).await);
        seen.note("all", fs::read(seen.path("a")).await);
        seen.note("set_len", file.set_len(4).await);
        seen.note("set_len", file.set_len(6).await);
        seen.note("all", fs::read(seen.path("a")).await);
        seen.note("set_len", file.set_len(u64::MAX).await);
        let mut clone = file.try_clone().await.unwrap();
        seen.note("rewind", clone.rewind().await);
        seen.note("position", file.stream_position().await);
        seen.note("sync", file.sync_all().await);
        seen.note("sync", file.sync_data().await);
        seen.note("len", file.metadata().await.map(|it| it.len()));
    }

    fn the_options_decide_how_a_file_is_opened(seen) {
        let path = seen.path("a");
        let some = |bits: u32| {
            let mut options = OpenOptions::new();
            options.read(bits & 1 > 0).write(bits & 2 > 0).append(bits & 4 > 0);
            options.truncate(bits & 8 > 0).create(bits & 16 > 0).create_new(bits & 32 > 0);
            options
        };
        for is_there in [false, true] {
            for bits in 0..64 {
                let _ = fs::remove_file(&path).await;
                if is_there {
                    fs::write(&path, "salmon").await.unwrap();
                }
                let opened = some(bits).open(&path).await;
                let is_open = seen.note(&format!("{bits:06b}"), opened.map(drop)).is_some();
                if is_open && bits & 32 == 0 {
                    let mut file = some(bits).open(&path).await.unwrap();
                    let mut byte = [0; 3];
                    seen.note("read", file.read(&mut byte).await);
                    seen.note("accept", file.write(b"xy").await);
                    seen.note("write", file.flush().await);
                    seen.note("set_len", file.set_len(7).await);
                }
                seen.note("contents", fs::read(&path).await);
            }
        }
    }

    fn appended_bytes_go_to_the_end(seen) {
        let path = seen.path("log");
        for text in ["redd\n", "salmon\n"] {
            let mut log = OpenOptions::new().append(true).create(true).open(&path).await.unwrap();
            seen.note("append", log.write_all(text.as_bytes()).await);
            seen.note("flush", log.flush().await);
            seen.note("position", log.stream_position().await);
        }
        let mut log = OpenOptions::new().append(true).read(true).open(&path).await.unwrap();
        log.rewind().await.unwrap();
        log.write_all(b"end").await.unwrap();
        log.flush().await.unwrap();
        seen.note("all", read(&path).await);
    }

    fn flags_and_modes_of_the_system_count(seen) {
        let (file, link, dir) = (seen.path("a"), seen.path("link"), seen.path("dir"));
        fs::write(&file, "x").await.unwrap();
        fs::symlink("a", &link).await.unwrap();
        fs::create_dir(&dir).await.unwrap();
        let with = |flags| OpenOptions::new().read(true).custom_flags(flags).clone();
        let (nofollow, directory) = (0o400_000, 0o200_000);
        seen.note("follow", with(0).open(&link).await.map(drop));
        seen.note("nofollow", with(nofollow).open(&link).await.map(drop));
        seen.note("nofollow", with(nofollow).open(&file).await.map(drop));
        seen.note("directory", with(directory).open(&file).await.map(drop));
        seen.note("directory", with(directory).open(&dir).await.map(drop));
        let mut private = OpenOptions::new();
        private.write(true).create(true).mode(0o640);
        seen.note("mode", private.open(seen.path("b")).await.map(drop));
        seen.note("from std", OpenOptions::from(std::fs::File::options().read(true).clone()).open(&file).await.map(drop));
        seen.tree().await;
    }

    fn a_directory_can_be_opened_and_synced_but_not_read(seen) {
        let mut dir = File::open(&seen.root).await.unwrap();
        seen.note("sync", dir.sync_all().await);
        seen.note("read", dir.read(&mut [0; 4]).await);
        seen.note("is", dir.metadata().await.map(|it| it.is_dir()));
        seen.note("create", File::create(&seen.root).await.map(drop));
    }

    fn names_are_moved_linked_and_removed(seen) {
        let path = |name: &str| seen.root.join(name);
        let (a, b, c) = (path("a"), path("b"), path("c"));
        fs::write(&a, "salmon").await.unwrap();
        seen.note("copy", fs::copy(&a, &b).await);
        seen.note("rename", fs::rename(&b, &c).await);
        seen.note("exists", fs::try_exists(&b).await);
        seen.note("link", fs::hard_link(&c, &b).await);
        seen.note("link", fs::hard_link(&c, &b).await);
        seen.note("link", fs::hard_link(&seen.root.clone(), &seen.path("d")).await);
        seen.note("both", fs::rename(&c, &b).await);
        seen.tree().await;
        seen.note("remove", fs::remove_file(&c).await);
        seen.note("remove", fs::remove_file(&c).await);
        seen.note("text", read(&b).await);
        seen.note("replace", fs::rename(&a, &b).await);
        seen.note("missing", fs::rename(&a, &b).await);
        seen.note("remove", fs::remove_file(&seen.root.clone()).await);
        seen.note("remove", fs::remove_dir(&b).await);
        seen.note("copy", fs::copy(&seen.root.clone(), &a).await);
        seen.note("copy", fs::copy(&b, seen.path("none/a")).await);
        seen.tree().await;
    }

    fn a_rename_replaces_only_what_fits(seen) {
        for name in ["empty", "full", "full/inner", "other"] {
            fs::create_dir(seen.path(name)).await.unwrap();
        }
        fs::write(seen.path("file"), "1").await.unwrap();
        fs::write(seen.path("full/inner/file"), "2").await.unwrap();
        for (from, to) in [
            ("file", "empty"), ("file", "full"), ("empty", "file"), ("other", "full"), ("full", "full/inner/x"), ("full", "full"),
            ("other", "empty"), ("full/inner/file", "file"), ("full", "empty"), ("full/inner", "empty"), ("file", "file/x"),
            ("file", "none/x"), ("file", "new/"), ("full", "new/"), ("new", "../outside-of-the-case/x"),
        ] {
            seen.note(&format!("{from} to {to}"), fs::rename(seen.path(from), seen.path(to)).await);
        }
        seen.tree().await;
    }

    fn directories_are_created_and_removed(seen) {
        let (outer, inner) = (seen.path("a"), seen.path("a/b/c"));
        seen.note("missing parent", fs::create_dir(&inner).await);
        seen.note("all", fs::create_dir_all(&inner).await);
        seen.note("all again", fs::create_dir_all(&inner).await);
        seen.note("again", fs::create_dir(&inner).await);
        seen.note("slash", fs::create_dir(seen.path("d/")).await);
        seen.note("not empty", fs::remove_dir(&outer).await);
        seen.note("remove", fs::remove_dir(&inner).await);
        seen.note("remove", fs::remove_dir(&inner).await);
        fs::write(seen.path("a/b/file"), "x").await.unwrap();
        fs::symlink("../../d", seen.path("a/b/link")).await.unwrap();
        seen.note("below a file", fs::create_dir_all(seen.path("a/b/file/x")).await);
        seen.note("a file", fs::create_dir_all(seen.path("a/b/file")).await);
        seen.note("all of a file", fs::remove_dir_all(seen.path("a/b/file")).await);
        seen.note("all", fs::remove_dir_all(&outer).await);
        seen.note("all", fs::remove_dir_all(&outer).await);
        let mut builder = DirBuilder::new();
        seen.note("builder", builder.create(&inner).await);
        builder.recursive(true).mode(0o710);
        seen.note("builder", builder.create(&inner).await);
        seen.note("builder", builder.create(&inner).await);
        seen.tree().await;
    }

    fn symbolic_links_are_followed(seen) {
        let root = seen.root.clone();
        fs::create_dir_all(seen.path("dir/inner")).await.unwrap();
        fs::write(seen.path("dir/file"), "salmon").await.unwrap();
        for (target, name) in [
            ("dir/file", "relative"), ("dir", "to-dir"), ("nowhere", "dangling"), ("loop", "loop"), ("b", "loop-a"), ("loop-a", "b"),
            ("../dir/file", "dir/up"), ("./to-dir/../dir/inner/..//file", "long"), ("dir/", "slash"), ("dir/file/", "file-slash"),
        ] {
            seen.note(name, fs::symlink(target, seen.path(name)).await);
            seen.note("link", fs::read_link(seen.path(name)).await);
            seen.note("read", fs::read(seen.path(name)).await);
            seen.note("is", fs::metadata(seen.path(name)).await.map(|it| (it.is_dir(), it.is_file())));
            seen.note("canonical", fs::canonicalize(seen.path(name)).await);
        }
        seen.note("absolute", fs::symlink(root.join("dir/file"), seen.path("absolute")).await);
        seen.note("read", read(seen.path("absolute")).await);
        // Its length depends on the directory of the case.
        fs::remove_file(seen.path("absolute")).await.unwrap();
        seen.note("through", read(seen.path("to-dir/file")).await);
        seen.note("through", read(seen.path("to-dir/inner/../file")).await);
        seen.note("up", read(seen.path("to-dir/../dir/./file")).await);
        seen.note("create", fs::write(seen.path("dangling"), "made").await);
        seen.note("nowhere", read(seen.path("nowhere")).await);
        seen.note("new", File::create_new(seen.path("relative")).await.map(drop));
        seen.note("link", fs::read_link(seen.path("dir/file")).await);
        seen.note("link", fs::read_link(seen.path("none")).await);
        seen.note("symlink", fs::symlink("x", seen.path("relative")).await);
        seen.note("symlink", fs::symlink("", seen.path("new")).await);
        seen.note("remove", fs::remove_dir(seen.path("to-dir")).await);
        seen.note("remove", fs::remove_file(seen.path("to-dir")).await);
        seen.note("hard", fs::hard_link(seen.path("relative"), seen.path("hard")).await);
        seen.note("rename", fs::rename(seen.path("hard"), seen.path("moved")).await);
        seen.note("all", fs::remove_dir_all(seen.path("slash")).await);
        seen.note("canonical", fs::canonicalize(seen.path("dir/../dir/inner/.")).await);
        seen.note("canonical", fs::canonicalize(seen.path("none")).await);
        seen.note("below a file", fs::metadata(seen.path("dir/file/..")).await.map(drop));
        seen.tree().await;
    }

    fn permissions_change(seen) {
        let path = seen.path("a");
        fs::write(&path, "x").await.unwrap();
        let mut permissions = fs::metadata(&path).await.unwrap().permissions();
        permissions.set_readonly(true);
        seen.note("path", fs::set_permissions(&path, permissions.clone()).await);
        seen.look("a").await;
        permissions.set_mode(0o604);
        let file = File::open(&path).await.unwrap();
        seen.note("file", file.set_permissions(permissions.clone()).await);
        seen.look("a").await;
        seen.note("copy", fs::copy(&path, seen.path("b")).await);
        seen.note("missing", fs::set_permissions(seen.path("c"), permissions.clone()).await);
        seen.note("directory", fs::set_permissions(&seen.root.clone(), { permissions.set_mode(0o750); permissions }).await);
        seen.tree().await;
    }

    fn times_can_be_set(seen) {
        let file = File::create(seen.path("a")).await.unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        seen.note("times", file.set_times(FileTimes::new().set_accessed(time).set_modified(time)).await);
        let both = fs::metadata(seen.path("a")).await.unwrap();
        seen.note("read", both.accessed());
        seen.note("modified", both.modified());
        seen.note("modified", file.set_modified(SystemTime::UNIX_EPOCH).await);
        seen.note("modified", file.metadata().await.unwrap().modified());
    }

    fn entries_are_listed(seen) {
        for number in 0..70 {
            fs::write(seen.path(&format!("{number}")), "").await.unwrap();
        }
        fs::create_dir(seen.path("dir")).await.unwrap();
        fs::symlink("dir", seen.path("link")).await.unwrap();
        seen.list("").await;
        seen.list("link").await;
        seen.list("dir/../link/.").await;
        seen.list("none").await;
        seen.list("7").await;
    }

    fn errors_of_a_write_come_later(seen) {
        let path = seen.path("a");
        fs::write(&path, "").await.unwrap();
        let mut file = File::open(&path).await.unwrap();
        seen.note("accept", file.write(b"x").await);
        seen.note("flush", file.flush().await);
        seen.note("flush", file.flush().await);
        seen.note("accept", file.write(b"x").await);
        seen.note("write", file.write(b"x").await);
        seen.note("accept", file.write(b"x").await);
        seen.note("sync", file.sync_all().await);
        seen.note("accept", file.write(b"x").await);
        seen.note("shutdown", file.shutdown().await);
        seen.note("set_len", file.set_len(1).await);
    }

    fn a_removed_file_stays_open(seen) {
        let path = seen.path("a");
        fs::write(&path, "salmon").await.unwrap();
        let mut file = OpenOptions::new().read(true).write(true).open(&path).await.unwrap();
        fs::remove_file(&path).await.unwrap();
        let mut text = String::new();
        seen.note("read", file.read_to_string(&mut text).await);
        seen.note("write", file.write_all(b" and redd").await);
        seen.note("sync", file.sync_all().await);
        seen.note("rewind", file.rewind().await);
        seen.note("read", file.read_to_string(&mut text).await);
        seen.note("text", Ok(text));
        fs::write(&path, "new").await.unwrap();
        seen.note("other", read(&path).await);
        seen.note("len", file.metadata().await.map(|it| it.len()));
        seen.tree().await;
    }

    fn buffers_find_the_right_position(seen) {
        let mut writer = BufWriter::new(File::create(seen.path("a")).await.unwrap());
        for number in 0..500 {
            writer.write_all(format!("{number}\n").as_bytes()).await.unwrap();
        }
        seen.note("flush", writer.flush().await);
        seen.note("sync", writer.get_ref().sync_all().await);
        let mut reader = BufReader::new(File::open(seen.path("a")).await.unwrap());
        for position in [SeekFrom::End(-4), SeekFrom::Current(-20), SeekFrom::Start(10)] {
            seen.note("seek", reader.seek(position).await);
            let mut bytes = [0; 4];
            seen.note("read", reader.read_exact(&mut bytes).await);
            seen.note("bytes", Ok(bytes));
        }
    }
}
