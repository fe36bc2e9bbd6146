//! The scripts, each made of the parts that it needs. The parts stand in `scripts/`.

/// A script that the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    Acquire,
    Release,
    Renew,
    RenewShared,
    Inspect,
    Probe,
}

impl Script {
    pub(crate) const ALL: [Self; 6] =
        [Self::Acquire, Self::Release, Self::Renew, Self::RenewShared, Self::Inspect, Self::Probe];

    /// What the server runs. The way of a free lock comes first: the functions for the rest are
    /// made only after it.
    pub(crate) const fn body(self) -> &'static str {
        match self {
            Self::Acquire => concat!(
                include_str!("scripts/fence.lua"),
                include_str!("scripts/acquire.lua"),
                include_str!("scripts/queue.lua"),
                include_str!("scripts/acquire_queued.lua"),
            ),
            Self::Release => concat!(
                include_str!("scripts/release.lua"),
                include_str!("scripts/fence.lua"),
                include_str!("scripts/queue.lua"),
                include_str!("scripts/release_queued.lua"),
            ),
            Self::Renew => include_str!("scripts/renew.lua"),
            Self::RenewShared => concat!(
                include_str!("scripts/fence.lua"),
                include_str!("scripts/queue.lua"),
                include_str!("scripts/renew_shared.lua"),
            ),
            Self::Inspect => concat!(
                include_str!("scripts/fence.lua"),
                include_str!("scripts/queue.lua"),
                include_str!("scripts/inspect.lua"),
            ),
            Self::Probe => include_str!("scripts/probe.lua"),
        }
    }
}
