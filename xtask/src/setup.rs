//! Makes sure that what the tests need is there.

use anyhow::{Result, bail};

use crate::sh::Sh;

mod apt;
mod python;

pub(crate) fn run() -> Result<()> {
    let mut absent = Vec::new();
    for need in NEEDS {
        if (need.present)() {
            println!("{} … ok", need.what);
        } else {
            absent.push(need);
        }
    }

    // All packages at once: each call of apt takes a lock and reads every list. And first, because
    // the other installers need some of them.
    let packages: Vec<_> = absent.iter().filter_map(|need| need.package()).collect();
    let mut failures = Vec::new();
    if let Err(error) = apt::install(&packages) {
        failures.push(format!("{error:#}"));
    }
    for need in absent {
        let installed = match need.install {
            Install::Package(_) => Ok(()),
            Install::Run(install) => install(),
        };
        // The second look counts: an installer that claims success may have put it elsewhere.
        match installed {
            Ok(()) if (need.present)() => println!("{} … installed", need.what),
            Ok(()) => failures.push(format!("{} is missing: {}", need.what, need.how)),
            Err(error) => {
                failures.push(format!("{} is missing: {error:#}: {}", need.what, need.how));
            }
        }
    }
    if !failures.is_empty() {
        bail!("not everything is there:\n  {}", failures.join("\n  "));
    }
    Ok(())
}

/// One thing that must be on the machine.
struct Need {
    what: &'static str,
    present: fn() -> bool,
    install: Install,
    /// What a person has to do when that could not install it.
    how: &'static str,
}

enum Install {
    /// The Debian package that has it.
    Package(&'static str),
    Run(fn() -> Result<()>),
}

impl Need {
    fn package(&self) -> Option<&'static str> {
        match self.install {
            Install::Package(package) => Some(package),
            Install::Run(_) => None,
        }
    }
}

const NEEDS: &[Need] = &[
    Need {
        what: "rustfmt",
        present: || Sh::cargo(["fmt", "--version"]).succeeds(),
        install: Install::Run(|| Sh::new("rustup", ["component", "add", "rustfmt"]).run()),
        how: "install it with `rustup component add rustfmt`, or the system's package of it",
    },
    Need {
        what: "clippy",
        present: || Sh::cargo(["clippy", "--version"]).succeeds(),
        install: Install::Run(|| Sh::new("rustup", ["component", "add", "clippy"]).run()),
        how: "install it with `rustup component add clippy`, or the system's package of it",
    },
    // Tests start servers with it, so that none outlives a test that was killed; other systems than
    // Linux do not have it.
    Need {
        what: "setpriv",
        present: || !cfg!(target_os = "linux") || Sh::new("setpriv", ["--version"]).succeeds(),
        install: Install::Package("util-linux"),
        how: "install the package util-linux",
    },
    // Also Sentinel, which is `redis-server --sentinel`.
    Need {
        what: "redis-server",
        present: || Sh::new("redis-server", ["--version"]).succeeds(),
        install: Install::Package(apt::REDIS),
        how: "`apt-get install redis-server` on Debian, `dnf install redis` on Fedora, \
              `brew install redis` on macOS",
    },
    Need {
        what: "pip",
        present: || Sh::new("python3", ["-m", "pip", "--version"]).succeeds(),
        install: Install::Package("python3-pip"),
        how: "`apt-get install python3-pip` on Debian, `dnf install python3-pip` on Fedora, \
              `brew install python` on macOS; `python3 -m pip` must run",
    },
    Need {
        what: "valkey-server",
        present: python::has_valkey,
        install: Install::Run(python::install_valkey),
        how: "put the program valkey-server 9 into `tools` of the target directory; Fedora has it \
              in the package valkey, macOS in `brew install valkey`",
    },
    Need {
        what: "redis-py",
        present: python::has_redis_py,
        install: Install::Run(python::install_redis_py),
        how: "install it with `python3 -m pip install --target target/tools/python redis`, where \
              `target` is the target directory",
    },
];
