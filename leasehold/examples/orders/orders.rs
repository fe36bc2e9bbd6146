//! Orders, and reading them from a CSV file.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use leasehold::LockName;

/// An order of a web shop that is to be charged once.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) customer: String,
    pub(crate) currency: String,
    /// In hundredths of the currency.
    pub(crate) amount: u64,
}

impl Order {
    /// The order of the zombie, which is not in the file.
    pub(crate) fn extra() -> Self {
        Self {
            id: "ORD-2026-999999".to_owned(),
            customer: "Ada Byron".to_owned(),
            currency: "GBP".to_owned(),
            amount: 12_900,
        }
    }

    /// The name of its lock.
    pub(crate) fn lock_name(&self) -> leasehold::Result<LockName> {
        LockName::new(format!("orders/{}", self.id))
    }

    /// Parses `order_id,customer,country,currency,amount_cents,placed_at`.
    fn parse(line: &str) -> anyhow::Result<Self> {
        let fields: Vec<_> = line.split(',').collect();
        let [id, customer, country, currency, amount, placed_at] = fields[..] else {
            bail!("an order has 6 fields, this line has {}", fields.len());
        };
        ensure!(fits(id, "ORD-0000-000000"), "{id:?} is no order id such as ORD-2026-000123");
        ensure!(
            !customer.is_empty() && customer.trim() == customer && !customer.contains('"'),
            "{customer:?} is no name: it is empty, or has quotes or blanks around it"
        );
        ensure!(fits(country, "AA"), "{country:?} is no country code such as DE");
        ensure!(fits(currency, "AAA"), "{currency:?} is no currency code such as EUR");
        ensure!(
            fits(placed_at, "0000-00-00T00:00:00Z"),
            "{placed_at:?} is no time such as 2026-01-31T09:30:00Z"
        );
        let cents = amount.parse().ok().filter(|cents| (1..=MAX_AMOUNT).contains(cents));
        Ok(Self {
            id: id.to_owned(),
            customer: customer.to_owned(),
            currency: currency.to_owned(),
            amount: cents
                .with_context(|| format!("{amount:?} is no amount from 1 to {MAX_AMOUNT} cents"))?,
        })
    }
}

/// Reads the orders of `path`, or those that come with the example.
pub(crate) fn load(path: Option<&Path>) -> anyhow::Result<Arc<[Order]>> {
    let Some(path) = path else {
        return parse(include_str!("orders.csv")).context("the orders of this example");
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the orders of {}", path.display()))?;
    parse(&text).with_context(|| path.display().to_string())
}

fn parse(csv: &str) -> anyhow::Result<Arc<[Order]>> {
    let mut lines = (1..).zip(csv.lines());
    let (_, header) = lines.next().context("line 1: the file is empty")?;
    ensure!(header == HEADER, "line 1: the header is {HEADER:?}, not {header:?}");
    let mut seen = HashSet::new();
    let mut orders = Vec::new();
    for (number, line) in lines {
        let order = Order::parse(line).with_context(|| format!("line {number}"))?;
        ensure!(seen.insert(order.id.clone()), "line {number}: {} is there already", order.id);
        orders.push(order);
    }
    ensure!(!orders.is_empty(), "line 2: there is no order");
    Ok(orders.into())
}

/// Whether `text` has the form of `pattern`: 0 is any digit, A any capital letter.
fn fits(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            // The letters that a pattern has as such, O, R, D, T and Z, are capitals as well.
            b'A' => byte.is_ascii_uppercase(),
            form => byte == form,
        })
}

const HEADER: &str = "order_id,customer,country,currency,amount_cents,placed_at";
/// A million: more is a slip, and sums stay far from overflow.
const MAX_AMOUNT: u64 = 100_000_000;
