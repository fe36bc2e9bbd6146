//! What became of the mutants.

use std::time::Duration;

use super::table::Mutant;

/// One mutant, tried.
pub(super) struct Outcome {
    pub(super) mutant: Mutant,
    /// None if it does not build.
    tally: Option<Tally>,
}

/// The runs of one mutant's case.
#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    runs: u32,
    caught: u32,
    slowest: Duration,
}

impl Tally {
    pub(super) fn add(&mut self, is_caught: bool, took: Duration) {
        self.runs += 1;
        self.caught += u32::from(is_caught);
        self.slowest = self.slowest.max(took);
    }
}

impl Outcome {
    pub(super) fn tried(mutant: Mutant, tally: Tally) -> Self {
        Self { mutant, tally: Some(tally) }
    }

    pub(super) fn does_not_build(mutant: Mutant) -> Self {
        Self { mutant, tally: None }
    }

    /// Why it is no success.
    pub(super) fn failure(&self) -> Option<String> {
        let Mutant { name, file, case, .. } = self.mutant;
        match self.tally {
            None => Some(format!("mutant {name} of {file} does not build")),
            Some(tally) if tally.caught < tally.runs => {
                let Tally { runs, caught, .. } = tally;
                Some(format!("mutant {name} of {file}: {case} caught it {caught} times of {runs}"))
            }
            Some(_) => None,
        }
    }

    fn cells(&self) -> [String; 3] {
        let case = self.mutant.case;
        let Some(Tally { runs, caught, slowest }) = self.tally else {
            return ["DOES NOT BUILD".to_owned(), String::new(), String::new()];
        };
        let by = if caught < runs { format!("SURVIVED {case}") } else { case.to_owned() };
        [by, format!("{caught}/{runs}"), format!("{:.1}", slowest.as_secs_f64())]
    }

    /// For whoever waits.
    pub(super) fn summary(&self) -> String {
        let [by, times, slowest] = self.cells();
        format!("mutant {}: {times} {by}, {slowest} s", self.mutant.name)
    }
}

pub(super) fn render(outcomes: &[Outcome]) -> String {
    let row = |outcome: &Outcome| {
        let names = [outcome.mutant.name, outcome.mutant.file].map(str::to_owned);
        names.into_iter().chain(outcome.cells()).collect()
    };
    let rows: Vec<_> = outcomes.iter().map(row).collect();
    crate::table::render(&["mutant", "file", "caught by", "times", "slowest"], &rows)
}

#[cfg(test)]
mod tests {
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
    const SECOND: Mutant = Mutant { name: "second", ..FIRST };

    fn tried(mutant: Mutant, runs: &[bool]) -> Outcome {
        let mut tally = Tally::default();
        for (run, is_caught) in runs.iter().enumerate() {
            tally.add(*is_caught, Duration::from_millis(3_210 - 1_000 * run as u64));
        }
        Outcome::tried(mutant, tally)
    }

    #[test]
    fn table_and_failures_tell_what_happened() {
        let outcomes = [
            tried(FIRST, &[true, true]),
            tried(SECOND, &[false, true]),
            Outcome::does_not_build(SECOND),
        ];
        let text = render(&outcomes);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "mutant  file          caught by                  times  slowest");
        assert_eq!(lines[2], "first   a/src/lib.rs  conformance::r1_           2/2    3.2");
        assert_eq!(lines[3], "second  a/src/lib.rs  SURVIVED conformance::r1_  1/2    3.2");
        assert_eq!(lines[4], "second  a/src/lib.rs  DOES NOT BUILD");
        assert_eq!(outcomes[0].summary(), "mutant first: 2/2 conformance::r1_, 3.2 s");
        let failures: Vec<_> = outcomes.iter().filter_map(Outcome::failure).collect();
        let expected = [
            "mutant second of a/src/lib.rs: conformance::r1_ caught it 1 times of 2",
            "mutant second of a/src/lib.rs does not build",
        ];
        assert_eq!(failures, expected);
    }
}
