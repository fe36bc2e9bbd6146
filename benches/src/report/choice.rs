//! The table that says which backend is for whom.

use maud::{Markup, html};

use super::Report;
use super::page::{OURS, speller};
use super::text::time;
use crate::bars::Metric;
use crate::counts::{Counts, Tally};
use crate::delays::{Lapse, Lapses};
use crate::harness::Group;
use crate::subjects::store::broken::{DEATH, FAILOVER, RESTART, SILENCE};
use crate::subjects::store::{FREE, HAND_OFF, ONE_NAME, OWN_NAMES, READERS, SEMAPHORE, TRY_HELD};

impl Report {
    /// Ours, of every backend, at what people choose by.
    pub(super) fn choice(&self) -> Markup {
        let is_choice = |backend: &&str| FACTS.iter().any(|(_, facts)| of_backend(facts, backend));
        let backends: Vec<_> = self.backends().into_iter().filter(is_choice).collect();
        let group = |backend: &str, question: &str| {
            let asked = |group: &&Group| group.backend == backend && group.question == question;
            self.groups.iter().find(asked)
        };
        let lapse = |backend: &str, question: &str| {
            let asked = |lapse: &&Lapse| lapse.backend == backend && lapse.question == question;
            self.lapses.iter().find(asked)
        };
        html! {
            h2 { "Which backend for me?" }
            div.wide {
                table {
                    thead { tr { th {} @for backend in &backends { th { (backend) } } } }
                    tbody {
                        @for (what, facts) in FACTS {
                            tr {
                                th { (what) }
                                @for backend in &backends {
                                    td.fact {
                                        @for (name, fact) in *facts {
                                            @if name == backend { (fact) }
                                        }
                                    }
                                }
                            }
                        }
                        @for (question, shown) in CHOICE {
                            tr {
                                th { (question) ", " (shown.as_str()) }
                                @for backend in &backends {
                                    td { (answer(group(backend, question), *shown)) }
                                }
                            }
                        }
                        @for (what, part, unit) in COUNTED {
                            tr {
                                th { (what) }
                                @for backend in &backends { td { (self.count(backend, part, *unit)) } }
                            }
                        }
                        @for question in BROKEN {
                            tr {
                                th { (question) }
                                @for backend in &backends {
                                    td { (median(lapse(backend, question))) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// What was counted of ours, to the last question of which this is a part: that of the most.
    fn count(&self, backend: &str, part: &str, unit: usize) -> String {
        let asked = |tally: &&Tally| tally.backend == backend && tally.question.contains(part);
        let ours = |counts: &&Counts| counts.subject.starts_with(OURS);
        let counts =
            self.tallies.iter().rev().find(asked).and_then(|tally| tally.results.iter().find(ours));
        let count = counts.and_then(|counts| counts.counts.get(unit));
        count.map_or_else(|| "–".to_owned(), |count| super::text::count(*count))
    }
}

fn of_backend(facts: &[(&str, &str)], backend: &str) -> bool {
    facts.iter().any(|(name, _)| *name == backend)
}

/// What ours comes to.
fn answer(group: Option<&Group>, shown: Metric) -> String {
    let answer = group.and_then(|group| {
        let ours = group.ours()?;
        let mark = if ours.is_noisy() || group.is_disturbed { " !" } else { "" };
        Some(format!("{}{mark}", speller(shown)(shown.of(ours)?)))
    });
    answer.unwrap_or_else(|| "–".to_owned())
}

fn median(lapse: Option<&Lapse>) -> String {
    let ours = |lapse: &&Lapses| lapse.subject.starts_with(OURS);
    let lapses = lapse.and_then(|lapse| lapse.results.iter().find(ours));
    lapses.map_or_else(|| "–".to_owned(), |lapses| time(lapses.median().as_secs_f64() * 1e6))
}

type Fact = (&'static str, &'static [(&'static str, &'static str)]);

/// What is no number, of each backend by its name.
const FACTS: &[Fact] = &[
    (
        "who it is for",
        &[
            ("local", "tasks of one process"),
            ("redis", "processes that have a Redis, and fence what must not break"),
            ("etcd", "processes whose lock has to outlive a server; nothing but etcd to be run"),
            ("zk", "the same, where ZooKeeper and a Java are there already"),
        ],
    ),
    (
        "to be run",
        &[
            ("local", "nothing"),
            ("redis", "one server (measured: one)"),
            ("etcd", "three members (measured: one)"),
            ("zk", "three members (measured: one)"),
        ],
    ),
    (
        "a server is lost",
        &[
            ("local", "–"),
            ("redis", "locks of the last moments may be lost with it"),
            ("etcd", "no lock is lost while most members live; the README has the exceptions"),
            ("zk", "no lock is lost while most members live; the README has the exceptions"),
        ],
    ),
];

/// The questions, and which number is shown.
const CHOICE: &[(&str, Metric)] = &[
    (FREE, Metric::P50),
    (HAND_OFF, Metric::P50),
    (TRY_HELD, Metric::P50),
    (OWN_NAMES, Metric::Rate),
    (ONE_NAME, Metric::Rate),
    (READERS, Metric::Rate),
    (SEMAPHORE, Metric::Rate),
];

/// What breaks.
const BROKEN: [&str; 4] = [DEATH, SILENCE, RESTART, FAILOVER];

/// What is counted: how it is called here, a part of the question, and which of the numbers.
const COUNTED: &[(&str, &str, usize)] = &[
    ("requests of a free lock and its release", "of a free lock", 0),
    ("requests a grant, where many wait for one lock", "that wait for one lock", 0),
    ("messages of the server a grant, where many wait", "that wait for one lock", 1),
    ("bytes of a lease, where many are held", " leases held", 0),
    ("requests that keep all of these, in a TTL of 10 s", " leases held", 1),
];
