//! Breaks the product one way at a time. A suite that does not notice proves nothing.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use self::lab::Lab;
use self::table::Mutant;
use self::trials::Trials;
use self::verdict::Outcome;
use crate::workspace;

mod lab;
mod seed;
mod table;
mod tree;
mod trials;
mod verdict;

/// Runs the mutants whose name contains `filter`, the case of each so many times.
pub(crate) fn run(filter: Option<&str>, times: NonZeroU32) -> Result<()> {
    let chosen = choose(&table::all(), filter)?;
    let broken = break_all(&chosen)?;
    let lab = Lab::prepare()?;
    let trials = Trials::new(times);
    let mut outcomes = thread::scope(|scope| {
        let runners: Vec<_> =
            (0..RUNNERS).map(|_| scope.spawn(|| trials.try_what_comes())).collect();
        // Also after an error, for the runners wait for the end.
        let built = build_all(&lab, &trials, &chosen, &broken);
        trials.close();
        let mut outcomes = built?;
        for runner in runners {
            outcomes.extend(runner.join().expect("BUG: a runner panicked")?);
        }
        Ok::<_, anyhow::Error>(outcomes)
    })?;
    outcomes.sort_by_key(|outcome| chosen.iter().position(|m| m.name == outcome.mutant.name));
    print!("\n{}", verdict::render(&outcomes));

    let failures: Vec<_> = outcomes.iter().filter_map(Outcome::failure).collect();
    if !failures.is_empty() {
        bail!("{}\nlogs: {}", failures.join("\n"), lab.logs().display());
    }
    Ok(())
}

/// Builds one after the other, in the one tree that there is: to cargo two trees are the same
/// packages, and what one has built would be tried as if the other had. Returns those that cannot be
/// tried. Ends early when a trial has met an error, which the runners
/// return.
fn build_all(
    lab: &Lab,
    trials: &Trials,
    mutants: &[Mutant],
    broken: &[String],
) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    let mut whole = BTreeSet::new();
    for (mutant, text) in mutants.iter().zip(broken) {
        let Mutant { package, .. } = *mutant;
        // With those of its package, while all that it needs is built.
        if whole.insert(package) {
            for target in targets(mutants, package) {
                let users =
                    mutants.iter().filter(|m| (m.package, m.test_target) == (package, target));
                trials.bring(lab.unbroken(&users.copied().collect::<Vec<_>>())?)?;
            }
        }
        match lab.broken(mutant, text)? {
            Some(trial) => trials.bring(trial)?,
            None => outcomes.push(Outcome::does_not_build(*mutant)),
        }
        if trials.is_over() {
            break;
        }
    }
    Ok(outcomes)
}

fn targets(mutants: &[Mutant], package: &str) -> BTreeSet<&'static str> {
    mutants.iter().filter(|m| m.package == package).map(|m| m.test_target).collect()
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

fn choose(mutants: &[Mutant], filter: Option<&str>) -> Result<Vec<Mutant>> {
    let mut names = BTreeSet::new();
    for mutant in mutants {
        ensure!(names.insert(mutant.name), "two mutants are called {}", mutant.name);
    }
    let filter = filter.unwrap_or_default();
    let chosen: Vec<_> = mutants.iter().copied().filter(|m| m.name.contains(filter)).collect();
    ensure!(!chosen.is_empty(), "no mutant is called like {filter:?}");
    Ok(chosen)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// How many mutants are tried at a time. Most of a case is waiting, and the compiler wants its share.
const RUNNERS: usize = 3;

#[cfg(test)]
mod tests {
    use self::table::LIB;
    use super::*;

    const FIRST: Mutant = Mutant {
        name: "first",
        file: "a/src/lib.rs",
        find: "<",
        replace: "<=",
        package: "a",
        test_target: "it",
        case: "conformance::r1_",
    };
    const SECOND: Mutant = Mutant { name: "second", test_target: LIB, ..FIRST };

    #[test]
    fn filter_is_a_part_of_the_name() {
        let names = |filter| {
            let chosen = choose(&[FIRST, SECOND], filter)?;
            Ok::<_, anyhow::Error>(chosen.iter().map(|mutant| mutant.name).collect::<Vec<_>>())
        };
        assert_eq!(names(None).unwrap(), ["first", "second"]);
        assert_eq!(names(Some("sec")).unwrap(), ["second"]);
        names(Some("third")).unwrap_err();
        assert!(choose(&[], None).is_err());
        assert!(choose(&[FIRST, FIRST], None).is_err());
    }

    #[test]
    fn targets_are_those_of_the_package() {
        let other = Mutant { package: "b", test_target: "faults", ..FIRST };
        assert_eq!(targets(&[FIRST, SECOND, other], "a"), BTreeSet::from(["it", LIB]));
    }

    #[test]
    fn all_mutants_can_be_applied() {
        break_all(&choose(&table::all(), None).unwrap()).unwrap();
    }
}
