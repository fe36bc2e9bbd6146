//! A wall clock that can be stepped while a process runs, by libfaketime. Monotonic clocks stay true.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// The wall clock of one process.
pub(crate) struct Clock {
    file: PathBuf,
}

impl Clock {
    /// One that is right. The process is started with its [`variables`](Clock::variables).
    pub(crate) fn new(file: PathBuf) -> Result<Self> {
        let clock = Self { file };
        clock.step(0)?;
        Ok(clock)
    }

    pub(crate) fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", LIBRARIES.to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            // How old what it has read of the file may be, in seconds.
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
        ]
    }

    /// It is so many hours ahead from now on.
    pub(crate) fn step(&self, hours: i32) -> Result<()> {
        let write = fs::write(&self.file, format!("{hours:+}h\n"));
        write.with_context(|| format!("{} cannot be written", self.file.display()))
    }
}

/// Where Debian's package has it; the loader puts the machine's directory in. The allocator of the C
/// library comes before that of the program: jemalloc asks for the time before anybody can tell it.
const LIBRARIES: &str = "/usr/$LIB/faketime/libfaketime.so.1 libc.so.6";
