//! Clients of ZooKeeper in other languages.

use std::path::Path;
use std::process::Command;

use crate::child::Child;
use crate::zk::command::{bare_java, classpath, java};

/// Clients in other languages, as processes of the same kind: a line that such a program prints and
/// that begins with [`REPORT`](crate::child::REPORT) is a report, and what is
/// [sent](Child::send) comes as a line on its standard input, which ends with its parent.
impl Child {
    /// Starts a program of one Java file, which has the recipes of Curator; its arguments are
    /// these. It logs what is amiss.
    ///
    /// # Panics
    ///
    /// When Java or Curator is not installed, or when it cannot be started.
    pub fn curator(source: &Path, arguments: &[&str]) -> Self {
        Self::with_curator(java(), source, arguments)
    }

    /// As [`curator`](Child::curator), with a Java as it comes: larger, slower to start, and faster once
    /// it has compiled what it runs often.
    ///
    /// # Panics
    ///
    /// When Java or Curator is not installed, or when it cannot be started.
    pub fn curator_at_speed(source: &Path, arguments: &[&str]) -> Self {
        Self::with_curator(bare_java(), source, arguments)
    }

    fn with_curator(mut java: Command, source: &Path, arguments: &[&str]) -> Self {
        java.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
            // A table for tools that watch a JVM, which a killed one leaves in `/tmp`.
            .arg("-XX:-UsePerfData")
            .arg("-cp")
            .arg(classpath(&CURATOR))
            .arg(source)
            .args(arguments);
        Self::run("a client with Curator", java, &[])
    }

    /// Starts a program in Python, which has kazoo; its arguments are these.
    ///
    /// # Panics
    ///
    /// When Python is not installed, or when it cannot be started.
    pub fn kazoo(source: &Path, arguments: &[&str]) -> Self {
        assert!(Path::new(PYTHON).is_file(), "no {PYTHON}: run `cargo xtask setup`");
        let mut command = Command::new(PYTHON);
        // Without a buffer before its output, and without traces of it beside its source.
        command.args(["-u", "-B"]).arg(source).args(arguments);
        Self::run("a client with kazoo", command, &[])
    }
}

/// Debian's own: another one in front of it does not know Debian's packages.
const PYTHON: &str = "/usr/bin/python3";
/// The archive of the recipes names all others.
const CURATOR: [&str; 2] = ["curator-recipes", "slf4j-simple"];
