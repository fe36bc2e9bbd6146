//! How what a backend does grows with how many want it.

use anyhow::Result;
use maud::{Markup, PreEscaped, html};

use super::Report;
use super::plot::{self, Line};
use super::text::rate;
use crate::workload::{Inside, Workload};

/// What becomes more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    OwnNames,
    OneName,
}

impl Axis {
    const ALL: [Self; 2] = [Self::OwnNames, Self::OneName];

    fn title(self) -> &'static str {
        match self {
            Self::OwnNames => "tasks, each on a name of its own",
            Self::OneName => "tasks on one name",
        }
    }

    /// How many there are in this workload. One alone is the same on both.
    fn of(self, workload: Workload) -> Option<usize> {
        match (self, workload) {
            (_, Workload::OwnNames { tasks: 1 }) => Some(1),
            (Self::OwnNames, Workload::OwnNames { tasks })
            | (Self::OneName, Workload::OneName { tasks, inside: Inside::Nothing }) => Some(tasks),
            _ => None,
        }
    }
}

impl Report {
    /// Locks a second of ours by how many tasks want them.
    pub(super) fn growth(&self) -> Result<Markup> {
        let mut parts = Vec::new();
        for axis in Axis::ALL {
            if let Some(plot) = self.growth_plot(axis)? {
                parts.push((axis, plot, self.lines(axis)));
            }
        }
        Ok(html! {
            @if !parts.is_empty() {
                section {
                    h2 { "How it grows" }
                    p { "Locks a second of all tasks together. The slope says by which power of the \
                         number of tasks that grows: 0 is flat, 1 is proportional." }
                    div.plots {
                        @for (axis, plot, lines) in &parts {
                            figure {
                                figcaption { (axis.title()) }
                                (PreEscaped(plot))
                                table {
                                    thead { tr { th {} th { "slope" } } }
                                    tbody {
                                        @for line in lines {
                                            tr {
                                                th { (line.label) }
                                                td { (format!("{:.2}", slope(&line.points))) }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        })
    }

    /// One axis of it, if anything was asked along it.
    pub(super) fn growth_plot(&self, axis: Axis) -> Result<Option<String>> {
        let lines = self.lines(axis);
        (!lines.is_empty()).then(|| plot::lines(&lines, rate)).transpose()
    }

    /// One for each backend that was asked for more than one number of tasks.
    fn lines(&self, axis: Axis) -> Vec<Line> {
        let line = |backend: &str| {
            let groups = self.groups.iter().filter(|group| group.backend == backend);
            let point = |group: &crate::harness::Group| {
                Some((axis.of(group.workload)? as f64, group.ours()?.rate?))
            };
            let mut points: Vec<_> = groups.filter_map(point).collect();
            points.sort_by(|one, other| one.0.total_cmp(&other.0));
            Line { label: backend.to_owned(), points }
        };
        let lines = self.backends().into_iter().map(line);
        lines.filter(|line| line.points.len() > 1).collect()
    }
}

/// The exponent of the power that comes nearest, by least squares of the logarithms.
fn slope(points: &[(f64, f64)]) -> f64 {
    let logs = || points.iter().map(|(count, value)| (count.ln(), value.ln()));
    let count = points.len() as f64;
    let (x, y) = logs().fold((0.0, 0.0), |(x, y), log| (x + log.0 / count, y + log.1 / count));
    let (above, below) = logs().fold((0.0, 0.0), |(above, below), log| {
        (above + (log.0 - x) * (log.1 - y), below + (log.0 - x).powi(2))
    });
    above / below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slope_is_the_power() {
        let points =
            |power: i32| [1.0_f64, 8.0, 64.0].map(|count| (count, 5.0 * count.powi(power)));
        assert!((slope(&points(0))).abs() < 1e-9);
        assert!((slope(&points(1)) - 1.0).abs() < 1e-9);
        assert!((slope(&points(-2)) + 2.0).abs() < 1e-9);
    }

    #[test]
    fn one_alone_is_on_both_axes() {
        let one = Workload::OwnNames { tasks: 1 };
        assert_eq!(Axis::ALL.map(|axis| axis.of(one)), [Some(1); 2]);
        let held = Workload::OneName { tasks: 8, inside: Inside::Yield };
        assert_eq!(Axis::ALL.map(|axis| axis.of(held)), [None; 2]);
    }
}
