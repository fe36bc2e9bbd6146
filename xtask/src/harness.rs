//! What the test harness says about itself.

use anyhow::{Result, ensure};

use crate::sh::Sh;

/// Runs tests and shows what they say. None at all is a failure: a filter, a flag or an attribute
/// that leaves nothing to run would otherwise look like success.
pub(crate) fn run_some(tests: Sh) -> Result<()> {
    let line = tests.to_string();
    let output = tests.stdout()?;
    print!("{output}");
    ensure!(passed(&output) > 0, "`{line}` ran no test");
    Ok(())
}

/// How many tests a run of the test harness says have passed.
pub(crate) fn passed(output: &str) -> usize {
    let counts = output.lines().filter_map(|line| {
        let (_, counts) = line.split_once("test result: ok. ")?;
        counts.split(' ').next()?.parse::<usize>().ok()
    });
    counts.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: &str = "\nrunning 3 tests\n...\ntest result: ok. 3 passed; 0 failed; 0 ignored;\n";
    const NONE: &str = "\nrunning 0 tests\n\ntest result: ok. 0 passed; 0 failed; 9 filtered out\n";

    #[test]
    fn passed_tests_are_counted() {
        assert_eq!(passed(SOME), 3);
        assert_eq!(passed(NONE), 0);
        assert_eq!(passed(&format!("{SOME}{NONE}{SOME}")), 6);
        assert_eq!(passed("error: no such target"), 0);
    }

    #[test]
    fn a_run_without_tests_fails() {
        let says = |text: &str| run_some(Sh::new("printf", ["%s", text]));
        says(SOME).unwrap();
        let error = says(NONE).unwrap_err().to_string();
        assert!(error.ends_with("ran no test"), "{error}");
        run_some(Sh::new("false", ["x"])).unwrap_err();
    }
}
