//! Where it was measured, and who else was there.

use std::fmt;
use std::fs;
use std::thread;

/// The machine.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) cpu: String,
    pub(crate) kernel: String,
}

/// What all cores together have done since the boot, in ticks of the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuTime {
    all: u64,
    idle: u64,
    own: u64,
}

impl Machine {
    pub(crate) fn read() -> Self {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let mut lines = cpus.lines().filter_map(|line| line.split_once(':'));
        let model = lines.find(|(key, _)| key.trim() == "model name");
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cores: thread::available_parallelism().map_or(1, usize::from),
            cpu: model.map_or(std::env::consts::ARCH, |(_, model)| model.trim()).to_owned(),
            kernel: if kernel.is_empty() { std::env::consts::OS } else { kernel.trim() }.to_owned(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cores, {}, kernel {}", self.cores, self.cpu, self.kernel)
    }
}

impl CpuTime {
    /// With that of a process that works for this one. `None` where the kernel does not tell.
    pub(crate) fn read(worker: Option<u32>) -> Option<Self> {
        let machine = fs::read_to_string("/proc/stat").ok()?;
        let processes = [Some("self".to_owned()), worker.map(|worker| worker.to_string())];
        let read = |process: String| fs::read_to_string(format!("/proc/{process}/stat")).ok();
        let own = processes.into_iter().flatten().map(|process| used(&read(process)?));
        Self::parse(&machine, own.sum::<Option<u64>>()?)
    }

    fn parse(machine: &str, own: u64) -> Option<Self> {
        let cpu = machine.lines().next()?.strip_prefix("cpu ")?;
        // User, nice, system, idle, waiting for a disk, two kinds of interrupts, stolen by the
        // host; guests follow, and are in the first two already.
        let cpu: Vec<u64> = cpu.split_whitespace().take(8).map_while(|n| n.parse().ok()).collect();
        let idle = cpu.get(3)? + cpu.get(4)?;
        Some(Self { all: cpu.iter().sum(), idle, own })
    }

    /// The share of the machine that other processes have used since `earlier`.
    pub(crate) fn others_since(self, earlier: Self) -> f64 {
        let all = self.all.saturating_sub(earlier.all);
        let own = self.own.saturating_sub(earlier.own);
        let others = all.saturating_sub(self.idle.saturating_sub(earlier.idle)).saturating_sub(own);
        others as f64 / all.max(1) as f64
    }
}

/// By a process, in user and in system mode.
fn used(process: &str) -> Option<u64> {
    // The name of the program, which is in parentheses, may hold anything.
    let (_, fields) = process.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_who_is_busy_and_not_us() {
        let process = "7 (a) b) S 1 7 7 0 -1 4194304 1 0 0 0 20 10 0 0 20 0 3 0 9 9 9";
        let own = used(process).unwrap();
        let earlier = CpuTime::parse("cpu  100 0 50 800 10 0 0 5 0 0\ncpu0 1", own).unwrap();
        assert_eq!((earlier.all, earlier.idle, earlier.own), (965, 810, 30));

        let later = CpuTime::parse("cpu  140 0 60 840 20 0 0 5 40 0\n", own + 25).unwrap();
        // Of 100 ticks 50 were idle and 25 ours.
        assert_eq!(later.others_since(earlier), 0.25);
        assert_eq!(earlier.others_since(earlier), 0.0);
    }

    #[test]
    fn a_kernel_that_does_not_tell_is_no_failure() {
        assert!(CpuTime::parse("", 0).is_none() && used("7 (a) S").is_none());
        assert!(CpuTime::read(None).is_some() && CpuTime::read(Some(u32::MAX)).is_none());
        assert!(Machine::read().cores > 0);
    }
}
