//! The same servers at the end of a link, where trips are what costs.

use std::net::SocketAddr;
use std::time::Duration;

use lock_testkit::Proxy;

use super::{FREE, ONE_COMMAND, question};
use crate::harness::Question;
use crate::workload::Workload;

/// A link to a server that takes its time.
pub(crate) async fn link(to: SocketAddr) -> Proxy {
    let link = Proxy::start(to).await;
    link.delay(DELAY, DELAY);
    link
}

/// What hangs on trips; the hand-off as it is called, and comes after `settle`.
pub(crate) fn questions(hand_off: &'static str, settle: Duration) -> Vec<Question> {
    vec![
        question(FREE, Workload::OwnNames { tasks: 1 }),
        question(hand_off, Workload::HandOff { settle }),
        question(ONE_COMMAND, Workload::Command { pause: Duration::ZERO }),
    ]
}

/// Of the link, each way.
const DELAY: Duration = Duration::from_millis(1);

/// See [`Workload::HandOff`]; some ten round trips, of which to queue and to watch takes three.
pub(crate) const SETTLE: Duration = Duration::from_millis(40);
