//! What the rounds of a question come to, and how sure that is.

use std::ops::Range;

use crate::bars::Metric;
use crate::workload::{Round, Workload};

/// Medians over the rounds of one subject at one question.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) subject: &'static str,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Cycles a second; `None` where the harness sets the pace.
    pub(crate) rate: Option<f64>,
    /// The number that the question is about, of each round.
    pub(crate) rounds: Vec<f64>,
    /// To what the first of the others came; `None` for that one itself.
    pub(crate) ratio: Option<Ratio>,
    /// Of that number: what nine of ten cycles take, or from the slowest round to the fastest.
    pub(crate) range: Range<f64>,
    /// Of so many cycles one is slower than so many microseconds.
    pub(crate) tail: Vec<(f64, f64)>,
}

/// How one subject compares with another, both measured in the same rounds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ratio {
    /// The median of the ratios of the rounds.
    pub(crate) median: f64,
    /// Where the median of very many rounds is, with 95 % certainty if there are six rounds or more. It
    /// knows nothing of what stays the same in all of them and differs in the next run.
    pub(crate) range: Range<f64>,
    pub(crate) rounds: usize,
}

impl Measured {
    pub(crate) fn new(
        subject: &'static str,
        workload: Workload,
        headline: Metric,
        rounds: &[Round],
    ) -> Self {
        let median_of = |of: &dyn Fn(&Round) -> f64| median(rounds.iter().map(of).collect());
        let of_headline = |round: &Round| match headline {
            Metric::P50 => round.quantile_us(0.5),
            Metric::Rate => round.rate(),
        };
        let range = match headline {
            Metric::P50 => {
                let [low, high] =
                    [0.05, 0.95].map(|part| median_of(&|round| round.quantile_us(part)));
                low..high
            }
            Metric::Rate => {
                let rates = || rounds.iter().map(Round::rate);
                rates().fold(f64::NAN, f64::min)..rates().fold(f64::NAN, f64::max)
            }
        };
        let slower =
            |one_of: f64| (one_of, median_of(&|round| round.quantile_us(1.0 - 1.0 / one_of)));
        Self {
            subject,
            range,
            p50_us: median_of(&|round| round.quantile_us(0.5)),
            p99_us: median_of(&|round| round.quantile_us(0.99)),
            rate: (!workload.is_paced()).then(|| median_of(&Round::rate)),
            rounds: rounds.iter().map(of_headline).collect(),
            ratio: None,
            tail: ONE_OF.map(slower).to_vec(),
        }
    }

    /// Whether the rounds differ so much that a second run may well say something else.
    pub(crate) fn is_noisy(&self) -> bool {
        self.ratio.as_ref().is_some_and(Ratio::is_noisy)
    }
}

impl Ratio {
    /// Of the rounds of one to those of another, which ran in turns.
    pub(crate) fn of(rounds: &[f64], to: &[f64]) -> Option<Self> {
        if rounds.is_empty() || rounds.len() != to.len() {
            return None;
        }
        let mut ratios: Vec<_> = rounds.iter().zip(to).map(|(one, other)| one / other).collect();
        ratios.sort_by(f64::total_cmp);
        let (rounds, outside) = (ratios.len(), outside(ratios.len(), UNSURE));
        let range = ratios[outside]..ratios[rounds - 1 - outside];
        Some(Self { median: median(ratios), range, rounds })
    }

    /// Of the rounds of one question to those of another: nothing is known of how they go together, so
    /// each side is taken where it is least and most.
    pub(crate) fn apart(rounds: &[f64], to: &[f64]) -> Option<Self> {
        if rounds.is_empty() || to.is_empty() {
            return None;
        }
        // That both are where they are said to be is as certain as of one ratio.
        let [(of, of_range), (over, over_range)] = [rounds, to].map(|rounds| {
            let mut rounds = rounds.to_vec();
            rounds.sort_by(f64::total_cmp);
            let outside = outside(rounds.len(), UNSURE / 2.0);
            let range = rounds[outside]..rounds[rounds.len() - 1 - outside];
            (median(rounds), range)
        });
        let range = of_range.start / over_range.end..of_range.end / over_range.start;
        Some(Self { median: of / over, range, rounds: rounds.len().min(to.len()) })
    }

    pub(crate) fn is_noisy(&self) -> bool {
        let is_open = self.range.end > self.median * CALM || self.range.start * CALM < self.median;
        is_open || self.rounds < FEWEST
    }
}

/// How many of so many sorted values lie outside on each side of where the true median is, if that may be
/// wrong so often: it falls among the k least with the probability that k heads or fewer come up of so
/// many coins.
fn outside(count: usize, unsure: f64) -> usize {
    let mut exactly = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let mut at_most = 0.0;
    for heads in 0..count / 2 {
        at_most += exactly;
        if at_most > unsure / 2.0 {
            return heads.saturating_sub(1);
        }
        exactly *= (count - heads) as f64 / (heads + 1) as f64;
    }
    (count.saturating_sub(1)) / 2
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

/// How far the truth may be from a ratio that is no noise.
pub(crate) const CALM: f64 = 1.15;

/// Fewer rounds leave every ratio open: that all are on one side comes by chance once in twenty times or
/// more often.
pub(crate) const FEWEST: usize = 6;

/// How often the truth is outside of what is said.
const UNSURE: f64 = 0.05;

/// The quantiles of a plot: half of the cycles, a tenth, and so on.
const ONE_OF: [f64; 6] = [2.0, 5.0, 10.0, 20.0, 50.0, 100.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), 3.0);
        assert!(median(Vec::new()).is_nan());
    }

    #[test]
    fn so_many_may_lie_outside() {
        // From the tables of the sign test.
        let known = [(1, 0), (2, 0), (3, 0), (5, 0), (6, 0), (9, 1), (15, 3), (20, 5), (25, 7)];
        for (count, expected) in known {
            assert_eq!(outside(count, UNSURE), expected, "{count}");
        }
    }

    #[test]
    fn two_questions_are_apart() {
        let rounds: Vec<f64> = (1..=15).map(f64::from).collect();
        let ratio = Ratio::apart(&rounds, &[2.0; 15]).unwrap();
        // One less lies outside than of one ratio.
        assert_eq!(ratio, Ratio { median: 4.0, range: 1.5..6.5, rounds: 15 });
        assert_eq!(Ratio::apart(&[2.0; 15], &rounds).unwrap().range, 2.0 / 13.0..2.0 / 3.0);
        assert!(Ratio::apart(&[], &[1.0]).is_none());
    }

    #[test]
    fn ratios_are_those_of_rounds() {
        // A machine that gets ten times slower halfway does so for both.
        let to: Vec<f64> = (0..15).map(|round| if round < 7 { 1.0 } else { 10.0 }).collect();
        let rounds: Vec<f64> = to.iter().map(|other| other * 1.2).collect();
        let ratio = Ratio::of(&rounds, &to).unwrap();
        assert!((ratio.median - 1.2).abs() < 1e-9 && !ratio.is_noisy(), "{ratio:?}");

        let wild: Vec<f64> = (0..15).map(|round| 1.0 + f64::from(round)).collect();
        let ratio = Ratio::of(&wild, &[1.0; 15]).unwrap();
        assert_eq!(ratio, Ratio { median: 8.0, range: 4.0..12.0, rounds: 15 });
        assert!(ratio.is_noisy());
        assert!(Ratio::of(&[1.0; 5], &[1.0; 5]).unwrap().is_noisy(), "too few to tell");
        assert!(Ratio::of(&[], &[]).is_none() && Ratio::of(&[1.0], &[]).is_none());
    }
}
