//! Which cores the server and this process run on.

use std::fs;

use anyhow::{Context as _, Result};
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

/// Keeps a server on a core of its own while it lives, and this process off that core. That is how
/// a server on another machine behaves; without it the kernel puts both on one core in some rounds
/// and on two in others, and one trip takes five times as long in the latter.
pub(crate) struct Apart {
    server: u32,
    all: CpuSet,
}

impl Apart {
    /// `None` where there is but one core.
    pub(crate) fn from(server: u32) -> Result<Option<Self>> {
        let all = sched_getaffinity(None).context("the cores of this process")?;
        let Some(last) = (0..CpuSet::MAX_CPU).rev().find(|core| all.is_set(*core)) else {
            return Ok(None);
        };
        let (mut its, mut ours) = (CpuSet::new(), all);
        its.set(last);
        ours.unset(last);
        if ours.count() == 0 {
            return Ok(None);
        }
        let apart = Self { server, all };
        pin(server, &its)?;
        pin(std::process::id(), &ours)?;
        Ok(Some(apart))
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        for process in [self.server, std::process::id()] {
            // At worst the next question is measured on fewer cores, and its floor as well.
            let _ = pin(process, &self.all);
        }
    }
}

/// Has a process run where this one does.
pub(crate) fn share(process: u32) -> Result<()> {
    pin(process, &sched_getaffinity(None).context("the cores of this process")?)
}

/// All threads of the process; those to come take after those that make them.
fn pin(process: u32, cores: &CpuSet) -> Result<()> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).context("no such process")?;
    for task in tasks {
        let thread = task?.file_name().to_string_lossy().parse().ok().and_then(Pid::from_raw);
        // It may have ended meanwhile.
        if let Err(error) = sched_setaffinity(thread, cores)
            && error != rustix::io::Errno::SRCH
        {
            return Err(error).context("cannot choose the cores of a thread");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_given_back() {
        let before = sched_getaffinity(None).unwrap();
        // Of itself: the last one to be pinned wins.
        if let Some(apart) = Apart::from(std::process::id()).unwrap() {
            assert_eq!(sched_getaffinity(None).unwrap().count(), before.count() - 1);
            drop(apart);
        }
        assert_eq!(sched_getaffinity(None).unwrap().count(), before.count());
    }
}
