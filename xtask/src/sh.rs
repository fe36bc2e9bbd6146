//! Runs commands, and says which one failed.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// A command line, run at the root of the workspace and shown before it runs.
pub(crate) struct Sh {
    command: Command,
}

impl Sh {
    pub(crate) fn new<A: AsRef<OsStr>>(
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        let mut command = Command::new(program);
        command.args(args).current_dir(workspace::root());
        // `cargo run` describes this package to us. Build scripts that watch these variables would
        // run again whenever somebody changes between `cargo xtask` and plain `cargo`.
        for (key, _) in env::vars_os() {
            let name = key.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&key);
            }
        }
        Self { command }
    }

    pub(crate) fn cargo<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Self {
        Self::new("cargo", args)
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Adds to a variable that holds a list of flags.
    pub(crate) fn env_append(self, key: &str, flags: &str) -> Self {
        let value = join_flags(env::var(key).ok().as_deref(), flags);
        self.env(key, value)
    }

    pub(crate) fn run(mut self) -> Result<()> {
        eprintln!("+ {self}");
        let status = self.command.status().with_context(|| format!("cannot start `{self}`"))?;
        if !status.success() {
            bail!("`{self}` failed: {status}");
        }
        Ok(())
    }

    /// Runs it and returns what it wrote; what it says on stderr is shown.
    pub(crate) fn stdout(mut self) -> Result<String> {
        eprintln!("+ {self}");
        let output = self
            .command
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start `{self}`"))?;
        let text = String::from_utf8(output.stdout)
            .with_context(|| format!("`{self}` wrote something other than UTF-8"))?;
        if !output.status.success() {
            // A failing test explains itself on stdout.
            eprint!("{text}");
            bail!("`{self}` failed: {}", output.status);
        }
        Ok(text)
    }

    /// Whether it runs and succeeds; shows nothing.
    pub(crate) fn succeeds(mut self) -> bool {
        let quiet = self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    }

    /// The same at the lowest priority.
    pub(crate) fn behind_others(self) -> Self {
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(self.command.get_program()).args(self.command.get_args());
        if let Some(dir) = self.command.get_current_dir() {
            command.current_dir(dir);
        }
        for (key, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        Self { command }
    }

    /// For those who must watch the process themselves, and who show it.
    pub(crate) fn into_command(self) -> Command {
        self.command
    }
}

impl fmt::Display for Sh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, value) in self.command.get_envs() {
            if let Some(value) = value {
                write!(f, "{}={} ", key.to_string_lossy(), quote(value))?;
            }
        }
        write!(f, "{}", quote(self.command.get_program()))?;
        for arg in self.command.get_args() {
            write!(f, " {}", quote(arg))?;
        }
        Ok(())
    }
}

fn quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    if word.is_empty() || word.contains(char::is_whitespace) {
        format!("\"{word}\"")
    } else {
        word.into_owned()
    }
}

fn join_flags(present: Option<&str>, more: &str) -> String {
    match present.map(str::trim) {
        None | Some("") => more.to_owned(),
        Some(present) => format!("{present} {more}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_line_that_can_be_pasted() {
        let sh = Sh::cargo(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(sh.to_string(), "RUSTDOCFLAGS=\"-D warnings\" cargo doc --no-deps");
    }

    #[test]
    fn what_runs_behind_others_is_the_same() {
        let sh = Sh::new("sh", ["-c", "echo $HOME $(nice) $PWD"]).env("HOME", "there");
        let text = sh.dir(Path::new("/")).behind_others().stdout().unwrap();
        assert_eq!(text, "there 19 /\n");
    }

    #[test]
    fn flags_are_added_to_those_present() {
        assert_eq!(join_flags(None, "--cfg shuttle"), "--cfg shuttle");
        assert_eq!(join_flags(Some(" "), "--cfg shuttle"), "--cfg shuttle");
        assert_eq!(join_flags(Some("-O"), "--cfg shuttle"), "-O --cfg shuttle");
    }

    #[test]
    fn failure_names_the_command() {
        let error = Sh::new("false", ["--really"]).run().unwrap_err();
        assert!(error.to_string().starts_with("`false --really` failed"), "{error}");
        let error = Sh::new("no-such-program", ["x"]).run().unwrap_err();
        assert_eq!(error.to_string(), "cannot start `no-such-program x`");
    }
}
