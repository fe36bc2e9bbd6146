//! Breaks the product one way at a time. A suite that does not notice proves nothing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use self::limit::Ended;
use self::table::{LIB, MUTANTS, Mutant};
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
    let broken = break_all(&chosen)?;
    let shares = share(&chosen);
    let results: Vec<_> = thread::scope(|scope| {
        let tried: Vec<_> = shares
            .iter()
            .enumerate()
            .map(|(number, packages)| {
                let (chosen, broken) = (&chosen, &broken);
                scope.spawn(move || {
                    let mine =
                        chosen.iter().zip(broken).filter(|(m, _)| packages.contains(m.package));
                    Lab::prepare(number)?.try_all(&mine.collect::<Vec<_>>())
                })
            })
            .collect();
        tried.into_iter().map(|lab| lab.join().expect("BUG: a lab panicked")).collect()
    });
    let mut results: Vec<Outcome> =
        results.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    results.sort_by_key(|result| chosen.iter().position(|m| m.name == result.mutant.name));
    print!("\n{}", render(&results));

    let failures = failures(&results);
    if !failures.is_empty() {
        bail!("{}\nlogs: {}", failures.join("\n"), home()?.display());
    }
    Ok(())
}

/// The packages of each lab: all mutants of one in the same, because the next one builds what the one
/// before it left, and as many mutants in each as that allows.
fn share(mutants: &[Mutant]) -> [BTreeSet<&'static str>; LABS] {
    let mut counts = BTreeMap::<_, usize>::new();
    for mutant in mutants {
        *counts.entry(mutant.package).or_default() += 1;
    }
    let mut packages: Vec<_> = counts.into_iter().collect();
    packages.sort_by_key(|(_, count)| Reverse(*count));
    let mut shares = [const { (0, BTreeSet::new()) }; LABS];
    for (package, count) in packages {
        let least = shares.iter_mut().min_by_key(|(count, _)| *count);
        let (sum, names) = least.expect("BUG: there are labs");
        *sum += count;
        names.insert(package);
    }
    shares.map(|(_, names)| names)
}

/// The broken text of every mutant's file. Before anything is built: a stale entry is told in a
/// second, and all of them at once.
fn break_all(mutants: &[Mutant]) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    let mut stale = Vec::new();
    for mutant in mutants {
        let broken = read(&workspace::root().join(mutant.file))
            .and_then(|source| tree::apply(&source, mutant.find, mutant.replace));
        match broken {
            Ok(text) => texts.push(text),
            Err(error) => stale.push(format!("mutant {} is stale: {error:#}", mutant.name)),
        }
    }
    ensure!(stale.is_empty(), "{}", stale.join("\n"));
    Ok(texts)
}

fn home() -> Result<PathBuf> {
    Ok(workspace::target_dir()?.join("mutants"))
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
    fn prepare(number: usize) -> Result<Self> {
        let home = home()?;
        let lab = Self {
            tree: home.join(format!("tree-{number}")),
            // Of all labs: what does not differ is built once. One builds at a time, while others test.
            target: home.join("target"),
            logs: home.join(format!("logs-{number}")),
            tools: workspace::tools_dir()?,
        };
        for dir in [&lab.tree, &lab.target, &lab.logs] {
            fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        tree::sync(&lab.tree)?;
        Ok(lab)
    }

    fn try_all(&self, mutants: &[(&Mutant, &String)]) -> Result<Vec<Outcome>> {
        self.check_unbroken(mutants)?;
        let mut results = Vec::new();
        for (mutant, text) in mutants {
            let start = Instant::now();
            let verdict = self.try_one(mutant, text)?;
            let took = start.elapsed();
            println!(
                "mutant {}: {} ({:.1} s)",
                mutant.name,
                verdict.text(mutant),
                took.as_secs_f64()
            );
            results.push(Outcome { mutant: **mutant, verdict, took });
        }
        Ok(results)
    }

    /// A case that fails anyway, or does not exist, would catch everything.
    fn check_unbroken(&self, mutants: &[(&Mutant, &String)]) -> Result<()> {
        let mut cases = BTreeMap::<_, BTreeSet<&str>>::new();
        for (mutant, _) in mutants {
            cases.entry((mutant.package, mutant.test_target)).or_default().insert(mutant.case);
        }
        let mut bad = Vec::new();
        for ((package, target), cases) in cases {
            let name = format!("unbroken-{package}-{target}");
            let whole = Mutant { package, test_target: target, ..*mutants[0].0 };
            ensure!(self.builds(&whole, &name)?, "{package}, {target}: does not build unbroken");
            let test = self.cargo_test(&whole).args(["--"]).args(&cases);
            let ended = limit::run(test, &self.log(&name, "test"), UNBROKEN_LIMIT)?;
            if ended != Ended::Passed {
                bad.push(format!("{package}: {ended:?} without a mutation; see {name}.test.txt"));
            }
            let output = read(&self.log(&name, "test"))?;
            let ran = |case: &&&str| output.lines().any(|line| has_passed(line, case));
            let unmatched = cases.iter().filter(|case| !ran(case));
            bad.extend(unmatched.map(|case| format!("{package}: {case} matches no test")));
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
        let target = match mutant.test_target {
            LIB => vec!["--lib"],
            target => vec!["--test", target],
        };
        Sh::cargo(["test", "-p", mutant.package])
            .args(target)
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

/// Whether the test harness says here that a test of this case has passed.
fn has_passed(line: &str, case: &str) -> bool {
    let test = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... ok"));
    test.is_some_and(|test| test.contains(case))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// How many mutants are tried at a time.
const LABS: usize = 3;
/// For all healthy cases of a package, one after the other.
const UNBROKEN_LIMIT: Duration = Duration::from_secs(600);
/// A healthy case takes seconds; a lost wake-up takes for ever.
const TEST_LIMIT: Duration = Duration::from_secs(120);
/// Only against a compiler that never ends; the first build has all dependencies in it.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);

#[cfg(test)]
mod tests;
