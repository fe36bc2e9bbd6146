//! The gate, which CI runs as it is; and its counterpart that rewrites.

use anyhow::{Context, Result};

use crate::sh::Sh;
use crate::steps::Steps;
use crate::{licences, rules, setup, test, workspace};

/// Checks everything and writes nothing to the tree.
pub(crate) fn run(quick: bool) -> Result<()> {
    setup::run()?;
    Steps::report(|steps| {
        steps.step("fmt", || Sh::cargo(["fmt", "--all", "--check"]).run())?;
        steps.step("clippy", || {
            let all = ["clippy", "--workspace", "--all-targets", "--all-features"];
            Sh::cargo(all).args(DENY_WARNINGS).run()
        })?;
        steps.step("docs", || {
            let doc = ["doc", "--workspace", "--all-features", "--no-deps"];
            Sh::cargo(doc).env_append("RUSTDOCFLAGS", "-D warnings").run()
        })?;
        steps.step("licences", licences::run)?;
        steps.step("rules", rules::run)?;
        test::run_in(steps, quick, each_feature()?)?;
        steps.step("clippy, each feature", || each_feature()?.into_iter().try_for_each(Sh::run))
    })
}

/// Rewrites what a machine can rewrite.
pub(crate) fn fix() -> Result<()> {
    Sh::cargo(["clippy", "--fix", "--allow-dirty", "--allow-staged"])
        .args(["--workspace", "--all-targets", "--all-features"])
        .run()?;
    // Last, because the suggestions of clippy are not formatted.
    Sh::cargo(["fmt", "--all"]).run()
}

/// A feature must build without its sisters; only the facade has any that users pick from.
fn each_feature() -> Result<Vec<Sh>> {
    let metadata = workspace::metadata()?;
    let facade = metadata
        .workspace_packages()
        .into_iter()
        .find(|package| package.name == FACADE)
        .with_context(|| format!("no package {FACADE} in the workspace"))?;

    let bare = ["clippy", "-p", FACADE, "--no-default-features"];
    // The default is one of the others.
    let features = facade.features.keys().filter(|feature| *feature != "default");
    let with = features.map(|feature| Sh::cargo(bare).args(["--features", feature]));
    Ok([Sh::cargo(bare)].into_iter().chain(with).map(|clippy| clippy.args(DENY_WARNINGS)).collect())
}

const FACADE: &str = "leasehold";
const DENY_WARNINGS: [&str; 3] = ["--", "-D", "warnings"];
