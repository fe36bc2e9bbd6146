//! Test programs: built by cargo, run without it.

use std::path::PathBuf;

use anyhow::{Context, Result};
use cargo_metadata::{Artifact, Message};

use crate::sh::Sh;

/// One test target, built.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TestProgram {
    /// The folder of the package, which has the package's name.
    pub(crate) package: PathBuf,
    /// As in `--test it`; of a package's own tests the name of the crate.
    pub(crate) target: String,
    pub(crate) file: PathBuf,
    /// Whether cargo found it as it should be, and built nothing.
    pub(crate) is_fresh: bool,
}

impl TestProgram {
    /// Those that cargo tells of with [`MESSAGES`].
    pub(crate) fn parse(messages: &str) -> Result<Vec<Self>> {
        let mut programs = Vec::new();
        for message in Message::parse_stream(messages.as_bytes()) {
            if let Message::CompilerArtifact(artifact) = message.context("cargo said nonsense")? {
                programs.extend(Self::of(artifact));
            }
        }
        Ok(programs)
    }

    fn of(artifact: Artifact) -> Option<Self> {
        // An example is built with the tests, but is none.
        let file = artifact.executable.filter(|_| artifact.profile.test)?;
        let package = artifact.manifest_path.parent()?.as_std_path().to_owned();
        let (target, file) = (artifact.target.name, file.into_std_path_buf());
        Some(Self { package, target, file, is_fresh: artifact.fresh })
    }

    /// For people.
    pub(crate) fn name(&self) -> String {
        let package = self.package.file_name().unwrap_or_default().to_string_lossy();
        format!("{package} {}", self.target)
    }

    /// The program with what `cargo test` gives it.
    pub(crate) fn command(&self) -> Sh {
        Sh::new(&self.file, [""; 0]).dir(&self.package).env("CARGO_MANIFEST_DIR", &self.package)
    }
}

/// What makes cargo tell what it builds; what the compiler has to say goes to stderr as ever.
pub(crate) const MESSAGES: &str = "--message-format=json-render-diagnostics";

#[cfg(test)]
mod tests {
    use super::*;

    /// As cargo writes it, on one line.
    fn artifact(name: &str, is_test: bool, executable: &str) -> String {
        format!(
            r#"{{"reason":"compiler-artifact","package_id":"path+file:///w/lock-zk#0.1.0",
            "manifest_path":"/w/lock-zk/Cargo.toml","target":{{"kind":["test"],"crate_types":["bin"],
            "name":"{name}","src_path":"/w/lock-zk/tests/it/main.rs","edition":"2024","doc":false,
            "doctest":false,"test":true}},"profile":{{"opt_level":"0","debuginfo":0,
            "debug_assertions":true,"overflow_checks":true,"test":{is_test}}},"features":[],
            "filenames":[],"executable":{executable},"fresh":true}}"#
        )
        .replace('\n', "")
    }

    #[test]
    fn tests_are_found_among_what_was_built() {
        let lines = [
            artifact("lock_zk", false, "null"),
            artifact("it", true, r#""/t/it-1""#),
            artifact("orders", false, r#""/t/orders""#),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ];
        let programs = TestProgram::parse(&lines.join("\n")).unwrap();
        let package = PathBuf::from("/w/lock-zk");
        let (target, file) = ("it".to_owned(), "/t/it-1".into());
        let it = TestProgram { package, target, file, is_fresh: true };
        assert_eq!(programs, [it]);
        assert_eq!(programs[0].name(), "lock-zk it");
        assert_eq!(programs[0].command().to_string(), "CARGO_MANIFEST_DIR=/w/lock-zk /t/it-1");
    }
}
