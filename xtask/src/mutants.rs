//! Breaks the product one way at a time. A suite that does not notice proves nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use self::limit::Ended;
use self::table::{MUTANTS, Mutant};
use crate::harness::passed;
use crate::sh::Sh;
use crate::workspace;

mod limit;
mod table;
mod tree;

/// Runs the mutants whose name contains `filter`.
pub(crate) fn run(filter: Option<&str>) -> Result<()> {
    let chosen = choose(MUTANTS, filter)?;
    if chosen.is_empty() {
        println!("mutants: the table is empty");
        return Ok(());
    }
    let lab = Lab::prepare()?;
    let broken = lab.break_all(&chosen)?;
    lab.check_unbroken(&chosen)?;

    let mut results = Vec::new();
    for (mutant, text) in chosen.iter().zip(&broken) {
        let start = Instant::now();
        let verdict = lab.try_one(mutant, text)?;
        let took = start.elapsed();
        println!("mutant {}: {} ({:.1} s)", mutant.name, verdict.text(mutant), took.as_secs_f64());
        results.push(Outcome { mutant: *mutant, verdict, took });
    }
    print!("\n{}", render(&results));

    let failures = failures(&results);
    if !failures.is_empty() {
        bail!("{}\nlogs: {}", failures.join("\n"), lab.logs.display());
    }
    Ok(())
}

/// Where the copy of the workspace is broken, built and tested.
struct Lab {
    tree: PathBuf,
    target: PathBuf,
    logs: PathBuf,
    /// The servers that set-up has fetched.
    tools: PathBuf,
}

impl Lab {
    fn prepare() -> Result<Self> {
        let home = workspace::target_dir()?.join("mutants");
        let lab = Self {
            tree: home.join("tree"),
            target: home.join("target"),
            logs: home.join("logs"),
            tools: workspace::tools_dir()?,
        };
        for dir in [&lab.tree, &lab.target, &lab.logs] {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        tree::sync(&lab.tree)?;
        Ok(lab)
    }

    /// The broken text of every mutant's file. Before anything is built: a stale entry is told in
    /// a second, and all of them at once.
    fn break_all(&self, mutants: &[Mutant]) -> Result<Vec<String>> {
        let mut texts = Vec::new();
        let mut stale = Vec::new();
        for mutant in mutants {
            let broken = read(&self.tree.join(mutant.file))
                .and_then(|source| tree::apply(&source, mutant.find, mutant.replace));
            match broken {
                Ok(text) => texts.push(text),
                Err(error) => stale.push(format!("mutant {} is stale: {error:#}", mutant.name)),
            }
        }
        ensure!(stale.is_empty(), "{}", stale.join("\n"));
        Ok(texts)
    }

    /// A case that fails anyway, or does not exist, would catch everything.
    fn check_unbroken(&self, mutants: &[Mutant]) -> Result<()> {
        let mut seen = BTreeSet::new();
        let mut bad = Vec::new();
        for mutant in mutants {
            if !seen.insert((mutant.package, mutant.test_target, mutant.case)) {
                continue;
            }
            let name = format!("unbroken-{}", seen.len());
            let case = format!("{} --test {} {}", mutant.package, mutant.test_target, mutant.case);
            ensure!(self.builds(mutant, &name)?, "{case}: does not build even unbroken");
            let ended = self.test(mutant, &name)?;
            if ended != Ended::Passed {
                bad.push(format!("{case}: {ended:?} without a mutation; see {name}.test.txt"));
            } else if passed(&read(&self.log(&name, "test"))?) == 0 {
                bad.push(format!("{case}: matches no test"));
            }
        }
        ensure!(bad.is_empty(), "{}\nlogs: {}", bad.join("\n"), self.logs.display());
        Ok(())
    }

    fn try_one(&self, mutant: &Mutant, broken: &str) -> Result<Verdict> {
        let path = self.tree.join(mutant.file);
        let whole = read(&path)?;
        tree::write(&path, broken)?;
        let verdict = self.judge(mutant);
        // Also after an error: the next mutant must be the only change in the tree.
        tree::write(&path, &whole)?;
        verdict
    }

    fn judge(&self, mutant: &Mutant) -> Result<Verdict> {
        if !self.builds(mutant, mutant.name)? {
            return Ok(Verdict::DoesNotBuild);
        }
        Ok(match self.test(mutant, mutant.name)? {
            Ended::Passed => Verdict::Survived,
            Ended::Failed => Verdict::Caught,
            Ended::Hung => Verdict::Hung,
        })
    }

    fn builds(&self, mutant: &Mutant, name: &str) -> Result<bool> {
        let build = self.cargo_test(mutant).args(["--no-run"]);
        Ok(limit::run(build, &self.log(name, "build"), BUILD_LIMIT)? == Ended::Passed)
    }

    fn test(&self, mutant: &Mutant, name: &str) -> Result<Ended> {
        let test = self.cargo_test(mutant).args(["--", mutant.case]);
        limit::run(test, &self.log(name, "test"), TEST_LIMIT)
    }

    fn cargo_test(&self, mutant: &Mutant) -> Sh {
        Sh::cargo(["test", "-q", "-p", mutant.package, "--test", mutant.test_target])
            .dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("LEASEHOLD_TOOLS", &self.tools)
    }

    fn log(&self, name: &str, what: &str) -> PathBuf {
        self.logs.join(format!("{name}.{what}.txt"))
    }
}

struct Outcome {
    mutant: Mutant,
    verdict: Verdict,
    took: Duration,
}

#[derive(Clone, Copy)]
enum Verdict {
    Caught,
    Hung,
    Survived,
    DoesNotBuild,
}

impl Verdict {
    fn text(self, mutant: &Mutant) -> String {
        match self {
            Self::Caught => mutant.case.to_owned(),
            Self::Hung => format!("{} (hung)", mutant.case),
            Self::Survived => "SURVIVED".to_owned(),
            Self::DoesNotBuild => "DOES NOT BUILD".to_owned(),
        }
    }
}

fn choose(mutants: &[Mutant], filter: Option<&str>) -> Result<Vec<Mutant>> {
    let mut names = BTreeSet::new();
    for mutant in mutants {
        ensure!(names.insert(mutant.name), "two mutants are called {}", mutant.name);
    }
    let filter = filter.unwrap_or_default();
    let chosen: Vec<_> = mutants.iter().copied().filter(|m| m.name.contains(filter)).collect();
    ensure!(filter.is_empty() || !chosen.is_empty(), "no mutant is called like {filter:?}");
    Ok(chosen)
}

fn render(results: &[Outcome]) -> String {
    let row = |Outcome { mutant, verdict, took }: &Outcome| {
        let seconds = format!("{:.1}", took.as_secs_f64());
        vec![mutant.name.to_owned(), mutant.file.to_owned(), verdict.text(mutant), seconds]
    };
    let rows: Vec<_> = results.iter().map(row).collect();
    crate::table::render(&["mutant", "file", "caught by", "seconds"], &rows)
}

fn failures(results: &[Outcome]) -> Vec<String> {
    let failure = |outcome: &Outcome| {
        let Mutant { name, file, case, .. } = outcome.mutant;
        match outcome.verdict {
            Verdict::Caught | Verdict::Hung => None,
            Verdict::Survived => Some(format!("mutant {name} of {file} survived {case}")),
            Verdict::DoesNotBuild => Some(format!("mutant {name} of {file} does not build")),
        }
    };
    results.iter().filter_map(failure).collect()
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A healthy case takes seconds; a lost wake-up takes for ever.
const TEST_LIMIT: Duration = Duration::from_secs(120);
/// Only against a compiler that never ends; the first build has all dependencies in it.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);

#[cfg(test)]
mod tests;
