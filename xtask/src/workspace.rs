//! Where things are, and what cargo knows about them.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};

pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The resolved graph with all features.
pub(crate) fn metadata() -> Result<Metadata> {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .exec()
        .context("cannot read the metadata of the workspace")
}

/// The target directory, wherever the user has put it.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cannot read the metadata of the workspace")?;
    Ok(metadata.target_directory.into_std_path_buf())
}

/// Where `setup` puts the programs that no package has, and where the tests look for them.
pub(crate) fn tools_dir() -> Result<PathBuf> {
    match env::var_os("LEASEHOLD_TOOLS") {
        Some(dir) => Ok(root().join(dir)),
        None => Ok(target_dir()?.join("tools")),
    }
}
