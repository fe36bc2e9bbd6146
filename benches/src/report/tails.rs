//! How the latencies of each spread.

use anyhow::Result;
use maud::{Markup, PreEscaped, html};

use super::Report;
use super::plot::{self, Line};
use super::text::time;
use crate::harness::Group;
use crate::subjects::store::{FREE, HAND_OFF};

impl Report {
    /// Latencies of a free lock and of a hand-off.
    pub(super) fn tails(&self) -> Result<Markup> {
        let mut parts = Vec::new();
        for question in [FREE, HAND_OFF] {
            for group in self.groups.iter().filter(|group| group.question == question) {
                let lines = group.tails();
                if !lines.is_empty() {
                    parts.push((group, plot::lines(&lines, time)?));
                }
            }
        }
        Ok(html! {
            @if !parts.is_empty() {
                section {
                    h2 { "How latencies spread" }
                    p { "One of so many cycles takes longer than that: of 2 the median, of 100 the 99th \
                         percentile." }
                    div.plots {
                        @for (group, plot) in &parts {
                            figure {
                                figcaption { (group.backend) ": " (group.question) }
                                (PreEscaped(plot))
                            }
                        }
                    }
                }
            }
        })
    }
}

impl Group {
    fn tails(&self) -> Vec<Line> {
        let results = self.results.iter();
        let lines = results.map(|measured| Line {
            label: measured.subject.to_owned(),
            points: measured.tail.clone(),
        });
        lines.collect()
    }
}
