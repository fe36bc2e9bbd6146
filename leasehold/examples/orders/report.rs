//! What a ledger says when it is read anew, and the table at the end.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::HumanCount;

use crate::ledger;
use crate::orders::Order;

/// The charges of a ledger against the orders.
pub(crate) struct Audit {
    pub(crate) orders: usize,
    pub(crate) charges: usize,
    /// Orders without a charge.
    pub(crate) missing: usize,
    /// Orders with two charges or more.
    pub(crate) twice: usize,
    /// What customers paid too much, by currency.
    pub(crate) overcharged: BTreeMap<String, u64>,
}

impl Audit {
    /// Reads the ledger from its first line on.
    pub(crate) fn of(path: &Path, orders: &[Order]) -> anyhow::Result<Self> {
        let entries = ledger::entries(path).with_context(|| path.display().to_string())?;
        let mut charged = HashMap::<_, Vec<u64>>::new();
        for entry in &entries {
            charged.entry(entry.order.as_str()).or_default().push(entry.amount);
        }
        let mut audit = Self {
            orders: orders.len(),
            charges: 0,
            missing: 0,
            twice: 0,
            overcharged: BTreeMap::new(),
        };
        for order in orders {
            let amounts = charged.remove(order.id.as_str()).unwrap_or_default();
            audit.charges += amounts.len();
            match amounts.len() {
                0 => audit.missing += 1,
                1 => {}
                _ => {
                    audit.twice += 1;
                    let too_much = amounts[1..].iter().sum::<u64>();
                    *audit.overcharged.entry(order.currency.clone()).or_default() += too_much;
                }
            }
        }
        Ok(audit)
    }

    /// Whether each order was charged once.
    pub(crate) fn is_exact(&self) -> bool {
        self.missing == 0 && self.twice == 0
    }
}

/// A line of the table: one phase.
pub(crate) struct Row {
    phase: &'static str,
    audit: Audit,
    time: Option<Duration>,
}

impl Row {
    pub(crate) fn new(phase: &'static str, audit: Audit, time: Option<Duration>) -> Self {
        Self { phase, audit, time }
    }
}

/// The table at the end.
pub(crate) struct Table(pub(crate) Vec<Row>);

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<26}  {:>6}  {:>7}  {:>13}  {:>14}  {:>7}",
            "phase", "orders", "charges", "charged twice", "overcharged", "time"
        )?;
        for Row { phase, audit, time } in &self.0 {
            let mut sums = audit.overcharged.iter().map(|(currency, sum)| money(currency, *sum));
            let time =
                time.map_or_else(|| "-".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()));
            writeln!(
                f,
                "{phase:<26}  {:>6}  {:>7}  {:>13}  {:>14}  {time:>7}",
                count(audit.orders),
                count(audit.charges),
                count(audit.twice),
                sums.next().unwrap_or_else(|| "nothing".to_owned()),
            )?;
            for sum in sums {
                writeln!(f, "{sum:>74}")?;
            }
        }
        Ok(())
    }
}

/// A number with commas.
pub(crate) fn count(number: usize) -> String {
    HumanCount(number as u64).to_string()
}

/// An amount such as `EUR 1,234.50`.
pub(crate) fn money(currency: &str, cents: u64) -> String {
    format!("{currency} {}.{:02}", HumanCount(cents / 100), cents % 100)
}
