//! A copy of the workspace that may be broken.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::sh::Sh;
use crate::workspace;

/// Makes `tree` equal to the files that git tracks or would track. Files that are equal already
/// are not touched, so a second run builds next to nothing; what an interrupted run left broken is
/// whole again.
pub(super) fn sync(tree: &Path) -> Result<()> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let list = Sh::new("git", list).stdout()?;
    let mut wanted = BTreeSet::new();
    for name in list.split_terminator('\0') {
        let from = workspace::root().join(name);
        // A tracked file may be deleted and not yet committed as such.
        if from.is_file() {
            copy_changed(&from, &tree.join(name))?;
            wanted.insert(tree.join(name));
        }
    }
    for path in files(tree)?.into_iter().filter(|path| !wanted.contains(path)) {
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// Writes `text`, and moves the time of the file forward: cargo rebuilds by nothing else.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    let written = || -> std::io::Result<()> {
        let before = fs::metadata(path)?.modified()?;
        fs::write(path, text)?;
        let file = File::options().write(true).open(path)?;
        if file.metadata()?.modified()? <= before {
            file.set_modified(before + TICK)?;
        }
        Ok(())
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}

/// The source with `find` replaced.
pub(super) fn apply(source: &str, find: &str, replace: &str) -> Result<String> {
    ensure!(find != replace, "it changes nothing");
    let times = source.match_indices(find).count();
    ensure!(times == 1, "its text occurs {times} times, must be once");
    Ok(source.replacen(find, replace, 1))
}

fn copy_changed(from: &Path, to: &Path) -> Result<()> {
    let copied = || -> std::io::Result<()> {
        if fs::read(to).ok() == Some(fs::read(from)?) {
            return Ok(());
        }
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(from, to).map(drop)
    };
    copied().with_context(|| format!("cannot copy {}", from.display()))
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let entries =
            fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

/// Longer than the granularity of the time stamps of any file system in use.
const TICK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn the_text_is_replaced_where_it_stands() {
        assert_eq!(apply("a < b;", "<", "<=").unwrap(), "a <= b;");
        assert_eq!(apply("a < b;", " < b", "").unwrap(), "a;");
    }

    #[test]
    fn a_stale_text_is_refused() {
        for (source, find, replace) in [("a", "b", "c"), ("b b", "b", "c"), ("b", "b", "b")] {
            apply(source, find, replace).unwrap_err();
        }
    }

    #[test]
    fn time_of_a_written_file_moves_forward() {
        let path = std::env::temp_dir().join(format!("xtask-tree-{}", std::process::id()));
        fs::write(&path, "old").unwrap();
        let future = SystemTime::now() + Duration::from_secs(60);
        File::options().write(true).open(&path).unwrap().set_modified(future).unwrap();
        write(&path, "new").unwrap();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        fs::remove_file(&path).unwrap();
        assert!(modified > future);
    }
}
