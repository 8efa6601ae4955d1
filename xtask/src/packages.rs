//! Packages of the Debian release that this machine runs, unpacked below `target`. Nothing is installed.
//!
//! Called by the lanes that need another compiler, a linker, an emulator or a browser: `tsan`, `aarch64`, `msrv`, `browser`.
//!
//! # Invariants
//! - `own-lists`: apt works on lists and a cache of its own, so neither the machine's lists nor its architectures change.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a lane's packages are unpacked, and what they are.
#[derive(Debug)]
pub(crate) struct Packages<'a> {
    /// The folder below `target/debian`.
    pub(crate) name: &'a str,
    /// Taken with the packages that they depend on and that this machine does not have.
    pub(crate) whole: &'a [&'a str],
    /// Taken alone, such as those of another architecture.
    pub(crate) alone: &'a [&'a str],
}

/// Packages that are unpacked.
#[derive(Clone, Debug)]
pub(crate) struct Unpacked {
    root: PathBuf,
}

impl Unpacked {
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.root.join("usr/bin").join(name)
    }

    /// Lets `command` find the libraries of the unpacked programs.
    pub(crate) fn add_libraries(&self, command: &mut Command) {
        let own = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map(|folder| self.root.join(folder));
        let before = command.get_envs().find(|(name, _)| *name == "LD_LIBRARY_PATH").and_then(|(_, value)| value);
        let before = before.map(OsString::from).or_else(|| std::env::var_os("LD_LIBRARY_PATH")).unwrap_or_default();
        let before: Vec<_> = std::env::split_paths(&before).filter(|path| !path.as_os_str().is_empty()).collect();
        // A path with a colon cannot be joined; then the programs do not start, and say why.
        let all = std::env::join_paths(own.into_iter().chain(before)).unwrap_or_default();
        command.env("LD_LIBRARY_PATH", all);
    }

    /// Lets a cargo `command` use the unpacked compiler.
    pub(crate) fn use_compiler(&self, command: &mut Command) {
        self.add_libraries(command);
        command.env("RUSTC", self.program("rustc")).env("RUSTDOC", self.program("rustdoc"));
    }

    /// What the unpacked compiler says of its version.
    pub(crate) fn compiler_version(&self) -> Result<String, String> {
        let mut command = Command::new(self.program("rustc"));
        self.add_libraries(&mut command);
        output(command.arg("--version")).map(|text| text.trim().to_owned())
    }
}

/// The compiler that Debian keeps up to date for its browsers, with the source of its standard library and with that
/// of aarch64.
pub(crate) fn compiler(target: &Path) -> Result<Unpacked, String> {
    let packages =
        Packages { name: "compiler", whole: &["rustc-web", "rust-web-src"], alone: &["libstd-rust-web-dev:arm64"] };
    Apt::open(target)?.unpack(&packages)
}

/// apt, on lists and a cache below `target` (`own-lists`).
#[derive(Debug)]
pub(crate) struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// An error says what this machine lacks.
    pub(crate) fn open(target: &Path) -> Result<Self, String> {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            return Err("the packages were only tried on Linux on x86-64".to_owned());
        }
        for program in ["apt-get", "apt-cache", "dpkg-deb"] {
            if Command::new(program).arg("--version").output().is_err() {
                return Err(format!("`{program}` is not here: it needs packages of Debian"));
            }
        }
        let target = std::path::absolute(target).map_err(|error| error.to_string())?;
        let folder = target.join("debian");
        for part in ["lists/partial", "cache"] {
            fs::create_dir_all(folder.join(part)).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        Ok(Self { folder })
    }

    /// The newest version of `package` that starts with `prefix`.
    pub(crate) fn version(&self, package: &str, prefix: &str) -> Result<String, String> {
        self.update();
        let listed = output(self.command("apt-cache").args(["madison", package]))?;
        version_in(&listed, prefix).ok_or_else(|| format!("no package `{package}` of version {prefix}"))
    }

    /// Downloads and unpacks, unless an earlier run has.
    pub(crate) fn unpack(&self, packages: &Packages<'_>) -> Result<Unpacked, String> {
        let folder = self.folder.join(packages.name);
        let (root, stamp) = (folder.join("root"), folder.join("packages.txt"));
        let wanted = [packages.whole, packages.alone].concat().join("\n");
        if fs::read_to_string(&stamp).is_ok_and(|had| had == wanted) {
            return Ok(Unpacked { root });
        }
        println!("  unpacking {} into {}", wanted.replace('\n', " "), root.display());
        let show = |error: std::io::Error| format!("{}: {error}", folder.display());
        // What an earlier run has left may be half of it.
        let _ = fs::remove_dir_all(&folder);
        let archives = folder.join("archives");
        fs::create_dir_all(archives.join("partial")).map_err(show)?;
        fs::create_dir_all(&root).map_err(show)?;
        self.update();
        let mut install = self.command("apt-get");
        install
            .arg("-o")
            .arg(format!("Dir::Cache::archives={}", archives.display()))
            .args(["install", "--download-only", "--reinstall", "--no-install-recommends", "-y"])
            .args(packages.whole);
        output(&mut install)?;
        for package in packages.alone {
            output(self.command("apt-get").current_dir(&archives).args(["download", package]))?;
        }
        for archive in fs::read_dir(&archives).map_err(show)?.filter_map(Result::ok) {
            if archive.path().extension().is_some_and(|end| end == "deb") {
                output(Command::new("dpkg-deb").arg("-x").arg(archive.path()).arg(&root))?;
            }
        }
        let _ = fs::remove_dir_all(&archives);
        fs::write(&stamp, wanted).map_err(show)?;
        Ok(Unpacked { root })
    }

    /// Fetches the lists. One source of several that cannot be reached is no error: a package that is missing is.
    fn update(&self) {
        if let Err(why) = output(self.command("apt-get").arg("update")) {
            println!("  {why}");
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C");
        for option in [
            format!("Dir::State::lists={}", self.folder.join("lists").display()),
            format!("Dir::Cache={}", self.folder.join("cache").display()),
            "APT::Architectures::=amd64".to_owned(),
            "APT::Architectures::=arm64".to_owned(),
            // Without a user of its own apt can write below `target`, and without the lock it needs no rights.
            "APT::Sandbox::User=".to_owned(),
            "Debug::NoLocking=1".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command
    }
}

/// From the table of `apt-cache madison`: package, version and source, between bars; the newest comes first.
fn version_in(listed: &str, prefix: &str) -> Option<String> {
    let is_meant = |version: &&str| {
        version.strip_prefix(prefix).is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
    };
    listed.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim).find(is_meant).map(str::to_owned)
}

/// What a command prints; an error has the last line of its complaint.
fn output(command: &mut Command) -> Result<String, String> {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("`{program}` does not start: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("`{program}`: {}", complaint.trim().lines().last().unwrap_or("it failed")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_package_is_the_one_that_is_asked_for() {
        let listed = " rustc-web | 1.96.0+dfsg1-1~deb12u2 | http://a bookworm-security/main amd64 Packages\n \
                      rustc-web | 1.85.0+dfsg3-1~deb12u3 | http://a bookworm/main amd64 Packages\n";
        assert_eq!(version_in(listed, "1.85").as_deref(), Some("1.85.0+dfsg3-1~deb12u3"));
        assert_eq!(version_in(listed, "1.8"), None, "1.85 is not 1.8");
        assert_eq!(version_in(listed, "1.96").as_deref(), Some("1.96.0+dfsg1-1~deb12u2"));
        assert_eq!(version_in("", "1.85"), None);
    }

    #[test]
    fn libraries_of_two_folders_are_both_found() {
        let (one, two) = (Unpacked { root: "/one".into() }, Unpacked { root: "/two".into() });
        let mut command = Command::new("true");
        one.add_libraries(&mut command);
        two.add_libraries(&mut command);
        let paths = command.get_envs().find_map(|(name, value)| (name == "LD_LIBRARY_PATH").then_some(value).flatten());
        let paths: Vec<_> = std::env::split_paths(paths.expect("it is set")).collect();
        for root in ["/one", "/two"] {
            assert!(paths.contains(&Path::new(root).join("usr/lib/x86_64-linux-gnu")), "{paths:?}");
        }
    }
}
