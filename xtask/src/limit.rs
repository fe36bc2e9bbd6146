//! A command that may hang.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::sh::Sh;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ended {
    Passed,
    Failed,
    Hung,
}

/// Who is killed past the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kill {
    /// The program and all that it has started. It has a process group of its own, which is not
    /// interrupted together with us.
    Group,
    /// The program, whose children end with it.
    Program,
}

/// Runs it with its output in these files, or in the one that both are; the command line stands before
/// what it says on stderr. Past the limit it is killed.
pub(crate) fn run(
    sh: Sh,
    stdout: &Path,
    stderr: &Path,
    limit: Duration,
    kill: Kill,
) -> Result<Ended> {
    let create = |path: &Path| {
        File::create(path).with_context(|| format!("cannot write {}", path.display()))
    };
    let out = create(stdout)?;
    let mut err = if stderr == stdout { out.try_clone()? } else { create(stderr)? };
    writeln!(err, "+ {sh}")?;
    let mut command: Command = sh.into_command();
    command.stdin(std::process::Stdio::null()).stdout(out).stderr(err);
    if kill == Kill::Group {
        command.process_group(0);
    }
    let mut child = command.spawn().context("cannot start it")?;

    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(if status.success() { Ended::Passed } else { Ended::Failed });
        }
        if Instant::now() >= end {
            match kill {
                Kill::Group => kill_group(&child)?,
                Kill::Program => child.kill()?,
            }
            child.wait()?;
            return Ok(Ended::Hung);
        }
        thread::sleep(POLL);
    }
}

fn kill_group(child: &Child) -> Result<()> {
    // The child is not reaped before this, so that the number cannot belong to anyone else.
    let group = format!("-{}", child.id());
    Sh::new("kill", ["-KILL", "--", &group]).run()
}

const POLL: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    fn ended(name: &str, script: &str, limit: Duration) -> (Ended, String) {
        let log = env::temp_dir().join(format!("xtask-limit-{name}-{}", process::id()));
        let ended = run(Sh::new("sh", ["-c", script]), &log, &log, limit, Kill::Group).unwrap();
        let text = fs::read_to_string(&log).unwrap();
        fs::remove_file(&log).unwrap();
        let (line, text) = text.split_once('\n').unwrap();
        assert_eq!(line, format!("+ sh -c \"{script}\""));
        (ended, text.to_owned())
    }

    const AMPLE: Duration = Duration::from_secs(60);

    #[test]
    fn the_status_decides_and_output_is_kept() {
        assert_eq!(ended("ok", "echo out; echo err >&2", AMPLE).0, Ended::Passed);
        let (ended, text) = ended("bad", "echo out; echo err >&2; exit 3", AMPLE);
        assert_eq!((ended, text.as_str()), (Ended::Failed, "out\nerr\n"));
    }

    #[test]
    fn past_the_limit_a_program_dies_alone() {
        let log = env::temp_dir().join(format!("xtask-limit-alone-{}", process::id()));
        let sleep = Sh::new("sleep", ["600"]);
        let ended = run(sleep, &log, &log, Duration::from_millis(100), Kill::Program).unwrap();
        fs::remove_file(&log).unwrap();
        assert_eq!(ended, Ended::Hung);
    }

    #[test]
    fn past_the_limit_grandchildren_die_too() {
        let script = "sleep 600 & echo $!; wait";
        let (ended, text) = ended("hung", script, Duration::from_millis(500));
        assert_eq!(ended, Ended::Hung);
        let end = Instant::now() + AMPLE;
        while Sh::new("kill", ["-0", text.trim()]).succeeds() && Instant::now() < end {
            // Killed, but whoever adopted it may take a moment to reap it.
            let stat = fs::read_to_string(format!("/proc/{}/stat", text.trim()));
            if stat.is_ok_and(|stat| stat.contains(") Z ")) {
                return;
            }
            thread::sleep(POLL);
        }
        assert!(Instant::now() < end, "{text} still lives");
    }
}
