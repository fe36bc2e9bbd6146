//! What the workspace has built of other people's crates, for the tree as well.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::{Context, Result};

/// Gives `to`, a profile's folder in a target directory, what `from` has and `to` has not yet of all
/// packages but `ours`. Cargo looks at each whether it is what it would build, so that the worst that
/// can be wrong costs time. Ours stay out: a package of the tree has the name, for cargo, of that of
/// the workspace.
pub(super) fn sow(from: &Path, to: &Path, ours: &BTreeSet<String>) -> Result<()> {
    let sown = || -> io::Result<()> {
        let mut files = BTreeMap::<String, Vec<OsString>>::new();
        for file in names(&from.join(DEPS))? {
            let text = file.to_string_lossy();
            let stem = text.split('.').next().unwrap_or_default();
            if let Some((_, hash)) = stem.rsplit_once('-') {
                files.entry(hash.to_owned()).or_default().push(file);
            }
        }
        for part in [FINGERPRINTS, BUILD, DEPS] {
            fs::create_dir_all(to.join(part))?;
        }
        for unit in names(&from.join(FINGERPRINTS))? {
            let text = unit.to_string_lossy();
            let Some((package, hash)) = text.rsplit_once('-') else { continue };
            if ours.contains(package) || to.join(FINGERPRINTS).join(&unit).exists() {
                continue;
            }
            for file in files.get(hash).into_iter().flatten() {
                link(&from.join(DEPS).join(file), &to.join(DEPS).join(file))?;
            }
            // Copied, for build scripts write into what is there. Last what says that all is there.
            for part in [BUILD, FINGERPRINTS] {
                let (from, to) = (from.join(part).join(&unit), to.join(part).join(&unit));
                if from.is_dir() {
                    copy_dir(&from, &to)?;
                }
            }
        }
        Ok(())
    };
    sown().with_context(|| format!("cannot copy from {} to {}", from.display(), to.display()))
}

/// What is in a folder; nothing, if there is no folder.
fn names(dir: &Path) -> io::Result<Vec<OsString>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name())).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// With the times of the files, which cargo compares.
fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for name in names(from)? {
        let (from, to) = (from.join(&name), to.join(&name));
        let metadata = fs::metadata(&from)?;
        if metadata.is_dir() {
            copy_dir(&from, &to)?;
        } else {
            fs::copy(&from, &to)?;
            File::open(&to)?.set_modified(metadata.modified()?)?;
        }
    }
    Ok(())
}

const DEPS: &str = "deps";
const BUILD: &str = "build";
const FINGERPRINTS: &str = ".fingerprint";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::time::{Duration, SystemTime};
    use std::{env, process};

    use super::*;

    fn write(path: &Path, time: SystemTime) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn other_peoples_crates_come_with_their_times_and_ours_do_not() {
        let home = env::temp_dir().join(format!("xtask-seed-{}", process::id()));
        let (from, to) = (home.join("from"), home.join("to"));
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for file in [
            "deps/libserde-12ab.rlib",
            "deps/serde-12ab.d",
            ".fingerprint/serde-12ab/lib-serde",
            "build/serde-12ab/out/made.rs",
            "deps/liblock_zk-34cd.rlib",
            ".fingerprint/lock-zk-34cd/lib-lock_zk",
            "deps/it-56ef",
        ] {
            write(&from.join(file), time);
        }
        let ours = BTreeSet::from(["lock-zk".to_owned()]);
        for _ in 0..2 {
            sow(&from, &to, &ours).unwrap();
        }

        let mut there = names(&to.join(DEPS)).unwrap();
        there.sort();
        assert_eq!(there, ["libserde-12ab.rlib", "serde-12ab.d"]);
        assert_eq!(names(&to.join(FINGERPRINTS)).unwrap(), ["serde-12ab"]);
        let made = fs::metadata(to.join("build/serde-12ab/out/made.rs")).unwrap();
        assert_eq!((made.modified().unwrap(), made.nlink()), (time, 1));
        fs::remove_dir_all(&home).unwrap();
    }

    #[test]
    fn nothing_comes_from_nothing() {
        let to = env::temp_dir().join(format!("xtask-seed-none-{}", process::id()));
        sow(Path::new("/no/such/target/debug"), &to, &BTreeSet::new()).unwrap();
        assert!(names(&to.join(DEPS)).unwrap().is_empty());
        fs::remove_dir_all(&to).unwrap();
    }
}
