//! Where the product is broken and built.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cargo_metadata::{Metadata, Package};

use super::table::{LIB, Mutant};
use super::trials::{Task, Trial};
use super::{read, seed, tree};
use crate::limit::{self, Ended, Kill};
use crate::programs::{self, TestProgram};
use crate::sh::Sh;
use crate::workspace;

/// One copy of the workspace, in which no more than one thing is broken at any time.
pub(super) struct Lab {
    metadata: Metadata,
    tree: PathBuf,
    target: PathBuf,
    logs: PathBuf,
    /// Copies of what was built, until they were tried.
    programs: PathBuf,
    /// The servers that set-up has fetched.
    tools: PathBuf,
}

impl Lab {
    pub(super) fn prepare() -> Result<Self> {
        let home = workspace::target_dir()?.join("mutants");
        let lab = Self {
            metadata: workspace::metadata()?,
            tree: home.join("tree"),
            target: home.join("target"),
            logs: home.join("logs"),
            programs: home.join("programs"),
            tools: workspace::tools_dir()?,
        };
        for of_this_run in [&lab.logs, &lab.programs] {
            if of_this_run.exists() {
                let failed = || format!("cannot remove {}", of_this_run.display());
                fs::remove_dir_all(of_this_run).with_context(failed)?;
            }
        }
        for dir in [&lab.tree, &lab.target, &lab.logs, &lab.programs] {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        tree::sync(&lab.tree)?;
        let ours = lab.metadata.workspace_packages().iter().map(|p| p.name.to_string()).collect();
        seed::sow(&workspace::target_dir()?.join("debug"), &lab.target.join("debug"), &ours)?;
        Ok(lab)
    }

    /// The program that these mutants share, with nothing broken.
    pub(super) fn unbroken(&self, mutants: &[Mutant]) -> Result<Trial> {
        let first = mutants.first().context("BUG: a program that no mutant needs")?;
        let name = format!("unbroken-{}-{}", first.package, first.test_target);
        let program = self.build(first, &name)?;
        let program = program.with_context(|| format!("{name}: does not build"))?;
        let cases = mutants.iter().map(|mutant| mutant.case).collect();
        Ok(self.trial(program, name, Task::Whole(cases)))
    }

    /// The mutant's program; none if it does not build.
    pub(super) fn broken(&self, mutant: &Mutant, text: &str) -> Result<Option<Trial>> {
        let path = self.tree.join(mutant.file);
        let whole = read(&path)?;
        tree::write(&path, text)?;
        let program = self.build(mutant, mutant.name);
        // Also after an error: the next mutant must be the only change in the tree.
        tree::write(&path, &whole)?;
        let Some(program) = program? else { return Ok(None) };
        ensure!(!program.is_fresh, "mutant {}: cargo saw no change and built nothing", mutant.name);
        Ok(Some(self.trial(program, mutant.name.to_owned(), Task::Broken(*mutant))))
    }

    pub(super) fn logs(&self) -> &Path {
        &self.logs
    }

    fn trial(&self, program: TestProgram, name: String, task: Task) -> Trial {
        Trial { program, name, task, logs: self.logs.clone(), tools: self.tools.clone() }
    }

    fn build(&self, mutant: &Mutant, name: &str) -> Result<Option<TestProgram>> {
        let messages = self.logs.join(format!("{name}.build.json"));
        let errors = self.logs.join(format!("{name}.build.txt"));
        if limit::run(self.cargo(mutant), &messages, &errors, BUILD_LIMIT, Kill::Group)?
            != Ended::Passed
        {
            return Ok(None);
        }
        let mut built = TestProgram::parse(&read(&messages)?)?;
        let program = built.pop().with_context(|| format!("{name}: no test was built"))?;
        ensure!(built.is_empty(), "{name}: more than one test was built");

        // Not linked: the next one is built in its place. And not by ourselves: what this process writes
        // is open in a child that another thread is just starting, and cannot be run until that is done.
        let file = self.programs.join(name);
        ensure!(Sh::new("cp", [&program.file, &file]).succeeds(), "cannot copy {name}");
        Ok(Some(TestProgram { file, ..program }))
    }

    /// Of all packages that have no such target, too, which builds nothing of them: so that the
    /// features of other people's crates are those that all our tests are built with.
    fn cargo(&self, mutant: &Mutant) -> Sh {
        let target = match mutant.test_target {
            LIB => vec!["--lib"],
            target => vec!["--test", target],
        };
        let others = self.metadata.workspace_packages().into_iter().filter(|package| {
            package.name != mutant.package && has_target(package, mutant.test_target)
        });
        let others = others.flat_map(|package| ["--exclude", package.name.as_str()]);
        Sh::cargo(["test", "--workspace", "--all-features", "--no-run", programs::MESSAGES])
            .args(others.collect::<Vec<_>>())
            .args(target)
            .dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
    }
}

fn has_target(package: &Package, name: &str) -> bool {
    let is_it = |target: &cargo_metadata::Target| match name {
        LIB => target.is_lib(),
        name => target.is_test() && target.name == name,
    };
    package.targets.iter().any(is_it)
}

/// Only against a compiler that never ends; the first build may have all dependencies in it.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_told_apart() {
        let metadata = workspace::metadata().unwrap();
        let has = |package: &str, name| {
            let all = metadata.workspace_packages();
            has_target(all.into_iter().find(|p| p.name == package).unwrap(), name)
        };
        assert!(has("lock-zk", LIB) && has("lock-zk", "it") && !has("lock-zk", "fake"));
        assert!(!has("xtask", LIB) && !has("xtask", "it") && !has("xtask", "xtask"));
    }
}
