//! Where the programs are.

use std::env;
use std::path::{Path, PathBuf};

/// The path of a server that the distribution packages.
///
/// # Panics
///
/// When it is not installed.
pub(crate) fn installed(program: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/usr/local/bin", "/usr/sbin"].map(PathBuf::from);
    let found = env::split_paths(&path).chain(usual).map(|dir| dir.join(program));
    match found.into_iter().find(|file| file.is_file()) {
        Some(file) => file,
        None => panic!("`{program}` is not installed: run `cargo xtask setup`"),
    }
}

/// The path of a program that `cargo xtask setup` fetched: in `$LEASEHOLD_TOOLS`, or in `tools` of
/// the workspace's target directory.
///
/// # Panics
///
/// When it is in none of these.
pub(crate) fn fetched(program: &str) -> PathBuf {
    let places = tool_dirs();
    match places.iter().map(|dir| dir.join(program)).find(|file| file.is_file()) {
        Some(file) => file,
        None => panic!("`{program}` is in none of {places:?}: run `cargo xtask setup`"),
    }
}

fn tool_dirs() -> Vec<PathBuf> {
    if let Some(dir) = env::var_os("LEASEHOLD_TOOLS") {
        return vec![dir.into()];
    }
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let starts = [
        env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from),
        env::current_dir().ok(),
        // For a test that is run without cargo.
        Some(PathBuf::from(env!("CARGO_MANIFEST_DIR"))),
    ];
    let mut dirs = Vec::new();
    for start in starts.iter().flatten() {
        for above in start.ancestors().filter(|dir| dir.join("Cargo.toml").exists()) {
            for target in [Path::new(&target), Path::new("target")] {
                let dir = above.join(target).join("tools");
                if !dirs.contains(&dir) {
                    dirs.push(dir);
                }
            }
        }
    }
    dirs
}
