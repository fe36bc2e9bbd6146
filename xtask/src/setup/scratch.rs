//! Places for what is half made.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// An empty directory, which is removed with all that is in it.
pub(super) struct Scratch {
    pub(super) dir: PathBuf,
}

impl Scratch {
    /// In `parent`, so that what was made there can be renamed into it.
    pub(super) fn new(parent: &Path, name: &str) -> Result<Self> {
        let scratch = Self { dir: parent.join(name) };
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
