//! Makes sure that what the tests need is there.

use anyhow::{Result, bail};

use crate::sh::Sh;

pub(crate) fn run() -> Result<()> {
    let mut missing = Vec::new();
    for need in NEEDS {
        if (need.present)() {
            println!("{} … ok", need.what);
            continue;
        }
        // The second look counts: an installer that claims success may have put it elsewhere.
        match (need.install)() {
            Ok(()) if (need.present)() => println!("{} … installed", need.what),
            Ok(()) => missing.push(format!("{}: still missing; {}", need.what, need.how)),
            Err(error) => missing.push(format!("{}: {error:#}; {}", need.what, need.how)),
        }
    }
    if !missing.is_empty() {
        bail!("missing:\n  {}", missing.join("\n  "));
    }
    Ok(())
}

/// One thing that must be on the machine.
struct Need {
    what: &'static str,
    present: fn() -> bool,
    install: fn() -> Result<()>,
    /// What a person has to do when `install` could not.
    how: &'static str,
}

const NEEDS: &[Need] = &[
    Need {
        what: "rustfmt",
        present: || Sh::cargo(["fmt", "--version"]).succeeds(),
        install: || Sh::new("rustup", ["component", "add", "rustfmt"]).run(),
        how: "install it with `rustup component add rustfmt`, or the system's package of it",
    },
    Need {
        what: "clippy",
        present: || Sh::cargo(["clippy", "--version"]).succeeds(),
        install: || Sh::new("rustup", ["component", "add", "clippy"]).run(),
        how: "install it with `rustup component add clippy`, or the system's package of it",
    },
];
