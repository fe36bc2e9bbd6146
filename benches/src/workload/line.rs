//! A round as a line, for one process to tell another.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hdrhistogram::Histogram;

use super::{Round, SIGNIFICANT_DIGITS};

impl Round {
    /// Cycles, nanoseconds and cycles a batch; then how many batches took how long.
    pub(crate) fn to_line(&self) -> String {
        let mut line = format!("{} {} {}", self.cycles, self.took.as_nanos(), self.batch);
        for value in self.latencies.iter_recorded() {
            let (nanos, count) = (value.value_iterated_to(), value.count_since_last_iteration());
            line += &format!(" {nanos} {count}");
        }
        line
    }

    /// What [`to_line`](Round::to_line) has made.
    pub(crate) fn from_line(line: &str) -> Result<Self> {
        let numbers = line.split(' ').map(str::parse).collect::<Result<Vec<u64>, _>>();
        let numbers = numbers.with_context(|| format!("`{line}` is no round"))?;
        let ([cycles, nanos, batch], counts) =
            numbers.split_first_chunk().with_context(|| format!("`{line}` is part of a round"))?;
        let mut latencies = Histogram::new(SIGNIFICANT_DIGITS)?;
        let (counts, []) = counts.as_chunks() else { bail!("`{line}` lacks a count") };
        for [nanos, count] in counts {
            latencies.record_n(*nanos, *count)?;
        }
        let (took, batch) = (Duration::from_nanos(*nanos), u32::try_from(*batch)?);
        Ok(Self { cycles: *cycles, took, latencies, batch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_was_written() {
        let nanos: Vec<u64> = (1..5_000).map(|at| at * at * 7).collect();
        let round = Round::new(9_000, Duration::from_nanos(12_345_678_901), 64, &nanos).unwrap();
        let again = Round::from_line(&round.to_line()).unwrap();
        assert_eq!(again.latencies, round.latencies);
        assert_eq!((again.cycles, again.took, again.batch), (9_000, round.took, 64));
        assert_eq!(
            (again.rate(), again.quantile_us(0.99)),
            (round.rate(), round.quantile_us(0.99))
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for line in ["", "1 2", "1 2 3 4", "1 2 3 x 5", "1 2 99999999999"] {
            assert!(Round::from_line(line).is_err(), "{line}");
        }
    }
}
