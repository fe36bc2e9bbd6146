//! Running cases.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use lockcore::Rule;

use crate::harness::Harness;
use crate::stage::Stage;
use crate::time::scaled;

/// One case of the suite.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name, which begins with its rule: `r05_…`.
    pub name: &'static str,
    /// What it does; it panics if the rule is broken.
    pub run: for<'a> fn(&'a Stage) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
}

impl Case {
    /// The rule that it is about.
    ///
    /// # Panics
    ///
    /// If the name does not begin with one.
    #[must_use]
    pub fn rule(&self) -> Rule {
        let number = self.name.get(1..3).and_then(|digits| digits.parse::<u8>().ok());
        let rule = Rule::ALL.into_iter().find(|rule| Some(rule.number()) == number);
        rule.expect("the name of a case begins with its rule")
    }
}

/// Why `case` does not apply to the backend, if it does not.
fn opt_out<H: Harness>(case: &str) -> Option<&'static str> {
    H::OPT_OUTS.iter().find(|(name, _)| *name == case).map(|(_, reason)| *reason)
}

/// Runs one case on a store of its own.
///
/// # Panics
///
/// If the rule is broken, or the case takes longer than a minute.
pub fn run_case<H: Harness>(name: &str) {
    if let Some(reason) = opt_out::<H>(name) {
        println!("{}: {name} does not apply: {reason}", H::BACKEND);
        return;
    }
    let case = crate::CASES.iter().find(|case| case.name == name).expect("a case of the suite");
    run_on(case, async { H::start().await });
}

/// Runs one case on the store that `start` starts.
///
/// # Panics
///
/// As [`run_case`].
pub fn run_on<H: Harness>(case: &Case, start: impl Future<Output = H>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let limit = scaled(std::time::Duration::from_secs(60));
    let done = runtime.block_on(async {
        let stage = Stage::new(Box::new(start.await), case.name);
        tokio::time::timeout(limit, async {
            (case.run)(&stage).await;
            stage.tear_down().await;
        })
        .await
    });
    runtime.shutdown_background();
    assert!(done.is_ok(), "{} did not end within {limit:?}", case.name);
}

/// Whether a broken store is caught by this case.
#[must_use]
pub fn is_caught<H: Harness>(name: &str, start: impl Future<Output = H>) -> bool {
    let case = crate::CASES.iter().find(|case| case.name == name).expect("a case of the suite");
    std::panic::catch_unwind(AssertUnwindSafe(|| run_on(case, start))).is_err()
}

/// Prints how many cases of each rule run on the backend, and the others with their reasons.
///
/// # Panics
///
/// If an opt-out names a case that does not exist.
pub fn print_rules<H: Harness>() {
    for (name, _) in H::OPT_OUTS {
        assert!(crate::CASES.iter().any(|case| case.name == *name), "no case is named {name}");
    }
    println!();
    for rule in Rule::ALL {
        let mut runs = 0;
        for case in crate::CASES.iter().filter(|case| case.rule() == rule) {
            match opt_out::<H>(case.name) {
                Some(reason) => {
                    println!("rule-table: {} {rule} out {}: {reason}", H::BACKEND, case.name);
                }
                None => runs += 1,
            }
        }
        println!("rule-table: {} {rule} {runs}", H::BACKEND);
    }
}
