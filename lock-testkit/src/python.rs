//! Clients of Redis in Python.

use std::path::Path;
use std::process::Command;

use crate::child::Child;
use crate::tools;

impl Child {
    /// Starts a program in Python, which has redis-py; its arguments are these. A line that it prints
    /// and that begins with [`REPORT`](crate::child::REPORT) is a report, and what is
    /// [sent](Child::send) comes as a line on its standard input, which ends with its parent.
    ///
    /// # Panics
    ///
    /// When Python or redis-py is not installed, or when it cannot be started.
    pub fn redis_py(source: &Path, arguments: &[&str]) -> Self {
        let packages = tools::fetched(PACKAGE);
        let packages = packages.ancestors().nth(2).expect("BUG: it has two names");
        let mut command = Command::new(tools::installed("python3"));
        // Without a buffer before its output, and without traces of it beside its source.
        command.args(["-u", "-B"]).arg(source).args(arguments).env("PYTHONPATH", packages);
        Self::run("a client with redis-py", command, &[])
    }
}

const PACKAGE: &str = "python/redis/lock.py";
