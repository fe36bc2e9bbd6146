//! The report as a page of its own: no script, nothing to load.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Report;
use super::plot::{self, COLORS, Dot, Side};
use super::text::{
    VERDICT, group_rows, lapse_rows, outcome, rate, tally_rows, time, verdict_cells,
};
use crate::bars::Metric;
use crate::delays::{Lapse, Lapses};
use crate::harness::{Failure, Group, QUIET};
use crate::measured::{CALM, Measured};

impl Report {
    /// The page.
    pub(crate) fn page(&self) -> Result<String> {
        let mut questions = Vec::new();
        for question in self.questions() {
            questions.push(self.question(question)?);
        }
        let (growth, tails, broken) = (self.growth()?, self.tails()?, self.broken()?);
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { "Leasehold: the backends compared" }
                    // Or a browser asks the server of the page for one.
                    link rel="icon" href="data:,";
                    style { (PreEscaped(COLORS)) (PreEscaped(STYLE)) }
                }
                body {
                    h1 { "Leasehold: the backends compared" }
                    p { (humantime::format_rfc3339_seconds(self.date)) ", " (self.machine) "." }
                    @if self.quick {
                        p.warning {
                            "A quick run: it shows that everything runs, its numbers say little."
                        }
                    }
                    @for absent in &self.absent { p.warning { (absent) } }
                    (self.choice())
                    (broken)
                    (self.far())
                    (growth)
                    (tails)
                    @for question in &questions { (question) }
                    (self.counted())
                    (self.judged())
                    (method())
                }
            }
        };
        Ok(page.into_string())
    }

    /// Each once, in the order in which they were asked.
    fn questions(&self) -> Vec<&'static str> {
        let mut seen = BTreeSet::new();
        let questions = self.groups.iter().map(|group| group.question);
        questions.filter(|question| seen.insert(*question)).collect()
    }

    pub(super) fn backends(&self) -> Vec<&'static str> {
        let mut seen = BTreeSet::new();
        let backends = self.groups.iter().map(|group| group.backend);
        backends.filter(|backend| seen.insert(*backend)).collect()
    }

    /// All backends at one question.
    fn question(&self, question: &str) -> Result<Markup> {
        let groups = self.groups.iter().filter(|group| group.question == question);
        let mut parts = Vec::new();
        for group in groups {
            let dots = group.dots();
            let plot = match dots[..] {
                // Nobody could answer.
                [] => String::new(),
                _ => plot::dots(&dots, speller(group.headline))?,
            };
            parts.push((group, plot));
        }
        let headline = parts.first().map(|(group, _)| group.headline);
        Ok(html! {
            section {
                h2 { (question) }
                @match headline {
                    Some(Metric::P50) => p { "Time, median; the line is what nine of ten take." }
                    Some(Metric::Rate) => {
                        p { "Locks a second, median of rounds; the line is from the slowest round \
                             to the fastest." }
                    }
                    None => {}
                }
                div.plots {
                    @for (group, plot) in &parts {
                        figure {
                            figcaption { (group.backend) }
                            (PreEscaped(plot))
                            @if group.is_noisy() { p.warning { (noise(group)) } }
                            (unanswered(&group.failures))
                            details {
                                summary { "In numbers" }
                                (numbers(&group_rows(group)))
                            }
                        }
                    }
                }
            }
        })
    }

    /// Those of one question about what breaks, of all backends.
    pub(super) fn dots_when(&self, question: &str) -> Vec<Dot> {
        let lapses = self.lapses.iter().filter(|lapse| lapse.question == question);
        lapses.flat_map(Lapse::dots).collect()
    }

    /// All backends, when something breaks.
    fn broken(&self) -> Result<Markup> {
        let mut seen = BTreeSet::new();
        let questions = self.lapses.iter().map(|lapse| lapse.question);
        let mut parts = Vec::new();
        for question in questions.filter(|question| seen.insert(*question)) {
            let plot = match self.dots_when(question) {
                dots if dots.is_empty() => String::new(),
                dots => plot::dots(&dots, time)?,
            };
            parts.push((question, plot));
        }
        Ok(html! {
            @if !parts.is_empty() {
                section {
                    h2 { "When something breaks" }
                    p { "The median, and a line from the shortest to the longest. With a TTL of 2 s. Who \
                         loses its link is told the truth by ours: the lock is lost, as it may be \
                         another's. zookeeper-client's lock, kazoo and Curator say first that nobody \
                         knows; Curator says later that it is sure." }
                    div.plots {
                        @for (question, plot) in &parts {
                            figure {
                                figcaption { (question) }
                                (PreEscaped(plot))
                                @for lapse in self.lapses.iter().filter(|one| one.question == *question) {
                                    (unanswered(&lapse.failures))
                                    details {
                                        summary { (lapse.backend) " in numbers" }
                                        (numbers(&lapse_rows(lapse)))
                                    }
                                }
                            }
                        }
                    }
                }
            }
        })
    }

    fn counted(&self) -> Markup {
        html! {
            @if !self.tallies.is_empty() {
                section {
                    h2 { "Counted" }
                    @for tally in &self.tallies {
                        h3 { (tally.backend) ": " (tally.question) }
                        div.wide { (numbers(&tally_rows(tally))) }
                        (unanswered(&tally.failures))
                    }
                }
            }
        }
    }

    fn judged(&self) -> Markup {
        html! {
            @if !self.verdicts.is_empty() {
                section {
                    h2 { "What has to be reached" }
                    div.wide {
                        table {
                            thead { tr { @for cell in VERDICT { th { (cell) } } } }
                            tbody {
                                @for verdict in &self.verdicts {
                                    @let [name, cells @ ..] = verdict_cells(verdict);
                                    tr {
                                        th { (name) }
                                        @for cell in cells { td { (cell) } }
                                        @let is_sure = verdict.is_ok() && !verdict.is_close();
                                        td.warning[!is_sure] { (outcome(verdict, "missed")) }
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

impl Group {
    /// That of ours which people use first.
    pub(super) fn ours(&self) -> Option<&Measured> {
        self.results.iter().find(|measured| self.side(measured) == Side::Ours)
    }

    fn side(&self, measured: &Measured) -> Side {
        match measured.subject {
            subject if subject.starts_with(OURS) => Side::Ours,
            subject if subject == self.base || subject.starts_with(BARE) => Side::Floor,
            _ => Side::Peer,
        }
    }

    fn dots(&self) -> Vec<Dot> {
        let dot = |measured: &Measured| {
            Some(Dot {
                label: measured.subject.to_owned(),
                side: self.side(measured),
                value: self.headline.of(measured)?,
                range: measured.range.clone(),
            })
        };
        self.results.iter().filter_map(dot).collect()
    }

    /// The same, beside those of other backends.
    pub(super) fn dots_of(&self, backend: &str, when: &str) -> Vec<Dot> {
        let dots = self.dots().into_iter();
        let label = |dot: &Dot| format!("{backend}: {}{when}", dot.label);
        dots.map(|dot| Dot { label: label(&dot), ..dot }).collect()
    }
}

impl Lapse {
    fn dots(&self) -> Vec<Dot> {
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        let dot = |lapses: &Lapses| Dot {
            label: lapses.subject.to_owned(),
            side: if lapses.subject.starts_with(OURS) { Side::Ours } else { Side::Peer },
            value: us(lapses.median()),
            range: us(lapses.least())..us(lapses.greatest()),
        };
        self.results.iter().map(dot).collect()
    }
}

fn unanswered(failures: &[Failure]) -> Markup {
    html! {
        @for failure in failures {
            p.warning { (failure.subject) " could not answer: " (failure.why) }
        }
    }
}

/// Rows of text; the first is the header, and the first column says what it is about.
fn numbers(rows: &[Vec<String>]) -> Markup {
    let (header, rows) = rows.split_at(rows.len().min(1));
    html! {
        table {
            thead { @for row in header { tr { @for cell in row { th { (cell) } } } } }
            tbody {
                @for row in rows {
                    tr {
                        @for (column, cell) in row.iter().enumerate() {
                            @if column == 0 { th { (cell) } } @else { td { (cell) } }
                        }
                    }
                }
            }
        }
    }
}

fn noise(group: &Group) -> String {
    match group.others {
        Some(others) if group.is_disturbed => {
            let (others, quiet) = (others * 100.0, QUIET * 100.0);
            format!("! Other processes used {others:.0} % of the machine, more than {quiet:.0} %.")
        }
        _ => {
            let open = (CALM - 1.0) * 100.0;
            format!("! The rounds leave a ratio open by more than {open:.0} %: see the numbers.")
        }
    }
}

pub(super) fn speller(metric: Metric) -> fn(f64) -> String {
    match metric {
        Metric::P50 => time,
        Metric::Rate => rate,
    }
}

fn method() -> Markup {
    html! {
        section {
            h2 { "How it is measured, and what it cannot say" }
            ul {
                li { "All subjects of a question run in turns, round after round: ratios within one plot \
                      can be compared, times of two machines cannot. Curator, kazoo and redis-py are \
                      processes of their own." }
                li { "Servers run on the same machine, so a trip is far shorter than over a network. \
                      Where one request goes at a time the server has a core for itself, else it shares \
                      them with the clients. There is one server: with three members each write is a \
                      trip to another one more. Redis keeps nothing on disk, etcd and ZooKeeper write \
                      each change to it." }
                li { "Blue is Leasehold, orange a peer, grey the floor: the bare client of the store, which \
                      does the same work and locks nothing, and for local the bare locks of tokio. In \
                      the plots of growth a colour is a backend." }
                li { "“lock-local inherent” is called by its own type, “dyn” through the trait object that \
                      applications have." }
                li { "Of each ratio the numbers say between which two it lies with 95 % certainty, as far \
                      as one run can tell. With an exclamation mark that is more than 15 % from \
                      the ratio, or there were fewer than six rounds: a second run may say something \
                      else. A bar is reached or missed by the median; where it lies between those two as \
                      well, it is too close to call." }
            }
            p { "The file benches/README.md of the repository says it for each question." }
        }
    }
}

/// What our crates are called.
pub(super) const OURS: &str = "lock-";
/// What the client of a store does without locks.
const BARE: &str = "bare ";

const STYLE: &str = "\
*{box-sizing:border-box}\
body{margin:0 auto;max-width:80rem;padding:1rem;color:var(--ink);background:#fff;\
font:1rem/1.5 system-ui,sans-serif}\
h1{font-size:1.5rem;line-height:1.2}h2{font-size:1.2rem;margin:2.5rem 0 .5rem}\
h3{font-size:1rem;margin:1.5rem 0 .25rem}p{margin:.25rem 0;color:var(--soft)}\
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.875rem}\
th,td{padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--faint);vertical-align:top;\
text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\
th:first-child{text-align:left;white-space:normal;min-width:8rem;font-weight:500}\
.fact{white-space:normal;min-width:7rem}\
.plots{display:grid;gap:1.5rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,22rem),1fr))}\
figure{margin:0;min-width:0}figcaption{font-weight:600}svg{width:100%;height:auto;display:block}\
details{overflow-x:auto}summary{cursor:pointer;color:var(--soft)}\
.warning,p.warning{color:var(--hue4)}\
@media(prefers-color-scheme:dark){body{background:#15181d}}";

#[cfg(test)]
mod tests {
    use crate::report::tests::report;

    #[test]
    fn page_has_every_number_and_loads_nothing() {
        let page = report().page().unwrap();
        for part in [
            "Which backend for me?",
            "ours  7.50 M/s",
            "7.50 M/s",
            "commands",
            "missed, too close to call !",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        for foreign in ["<script", "http://", "src="] {
            let named = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!named.contains(foreign), "{foreign}: {page}");
        }
    }

    #[test]
    fn what_is_noisy_says_so() {
        assert!(
            report().page().unwrap().contains("The rounds leave a ratio open by more than 15 %")
        );
    }
}
