//! How often something goes to the server and back.

use maud::{Markup, html};

use super::Report;
use crate::harness::Group;
use crate::subjects::FAR;
use crate::subjects::store::ONE_COMMAND;

/// How long a question takes over a link whose trips are most of it, in those of one command.
pub(super) struct Trips {
    pub(super) backend: &'static str,
    pub(super) question: &'static str,
    pub(super) subject: &'static str,
    pub(super) trips: f64,
}

impl Report {
    pub(super) fn trips(&self) -> Vec<Trips> {
        let far = || self.groups.iter().filter(|group| group.backend.ends_with(FAR));
        let one = |backend: &str| {
            let mut groups = far().filter(|group| group.backend == backend);
            Some(groups.find(|group| group.question == ONE_COMMAND)?.results.first()?.p50_us)
        };
        let of_group = |group: &'_ Group| -> Vec<Trips> {
            let Some(one) = one(group.backend).filter(|_| group.question != ONE_COMMAND) else {
                return Vec::new();
            };
            let trips = group.results.iter().map(|measured| Trips {
                backend: group.backend,
                question: group.question,
                subject: measured.subject,
                trips: measured.p50_us / one,
            });
            trips.collect()
        };
        far().flat_map(of_group).collect()
    }

    /// The table of them.
    pub(super) fn far(&self) -> Markup {
        let trips = self.trips();
        html! {
            @if !trips.is_empty() {
                section {
                    h2 { "Over a network" }
                    p { "Over a link of 1 ms each way: the median, in times of one command over the same \
                         link. Where the server is not next door, this is what a lock costs. Of a \
                         hand-off it is the way from the release to the waiter." }
                    div.wide {
                        table {
                            thead { tr { th { "subject" } th { "trips" } } }
                            tbody {
                                @for one in &trips {
                                    tr {
                                        th { (one.backend) ": " (one.question) ": " (one.subject) }
                                        td { (format!("{:.1}", one.trips)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
