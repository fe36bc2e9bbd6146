//! What the handles tell to `metrics` and `tracing`. The names stand in the crate's documentation.

use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::{BootInstant, LossCause, Mode};

/// The instruments of one [`Locks`](crate::Locks), looked up once.
#[derive(Clone)]
pub(crate) struct Telemetry {
    backend: &'static str,
    waiters: Gauge,
    modes: Arc<[ModeTelemetry; 3]>,
}

struct ModeTelemetry {
    wait: Histogram,
    hold: Histogram,
    acquires: [Counter; OUTCOMES.len()],
}

/// How an attempt to acquire ended.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    Granted,
    Busy,
    TimedOut,
    Abandoned,
    Failed,
}

impl Telemetry {
    pub(crate) fn new(backend: &'static str) -> Self {
        let mode = |mode: &'static str| ModeTelemetry {
            wait: histogram!("leasehold_wait_seconds", "backend" => backend, "mode" => mode),
            hold: histogram!("leasehold_hold_seconds", "backend" => backend, "mode" => mode),
            acquires: OUTCOMES.map(|outcome| {
                counter!("leasehold_acquires_total",
                    "backend" => backend, "mode" => mode, "outcome" => outcome)
            }),
        };
        Self {
            backend,
            waiters: gauge!("leasehold_waiters", "backend" => backend),
            modes: Arc::new([mode("exclusive"), mode("shared"), mode("permit")]),
        }
    }

    pub(crate) fn backend(&self) -> &'static str {
        self.backend
    }

    /// An attempt begins; when dropped without an outcome, it was abandoned.
    pub(crate) fn attempt(&self, mode: Mode, waits: bool) -> Attempt<'_> {
        if waits {
            self.waiters.increment(1.0);
        }
        Attempt {
            telemetry: self,
            mode,
            waits,
            since: BootInstant::now(),
            outcome: Outcome::Abandoned,
        }
    }

    /// A hold ended, `lost` if not by its holder.
    pub(crate) fn held(&self, mode: Mode, since: BootInstant, lost: Option<LossCause>) {
        self.of(mode).hold.record(since.elapsed());
        if let Some(cause) = lost {
            counter!("leasehold_losses_total",
                "backend" => self.backend, "cause" => cause.as_str())
            .increment(1);
        }
    }

    fn of(&self, mode: Mode) -> &ModeTelemetry {
        &self.modes[match mode {
            Mode::Exclusive => 0,
            Mode::Shared => 1,
            Mode::Permit { .. } => 2,
        }]
    }
}

/// One attempt to acquire.
pub(crate) struct Attempt<'a> {
    telemetry: &'a Telemetry,
    mode: Mode,
    waits: bool,
    since: BootInstant,
    outcome: Outcome,
}

impl Attempt<'_> {
    pub(crate) fn ends(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.waits {
            self.telemetry.waiters.decrement(1.0);
        }
        let mode = self.telemetry.of(self.mode);
        if matches!(self.outcome, Outcome::Granted) {
            mode.wait.record(self.since.elapsed());
        }
        mode.acquires[self.outcome as usize].increment(1);
    }
}

const OUTCOMES: [&str; 5] = ["granted", "busy", "timeout", "abandoned", "error"];
