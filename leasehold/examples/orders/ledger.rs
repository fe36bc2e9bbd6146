//! The ledger: a file on disk that says which orders were charged.

use std::collections::HashSet;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use fs4::FileExt;
use leasehold::{FencingToken, Gate, StaleToken};

use crate::orders::Order;

/// One opened ledger. Any number of workers and processes may have the same file open.
///
/// The file only grows, by one line for each charge: `order_id,amount,worker,token`, with `-` for
/// the token of a charge without a lock.
pub(crate) struct Ledger {
    file: File,
    /// How much of the file is known.
    read_to: u64,
    charged: HashSet<String>,
    gate: Gate,
}

impl Ledger {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        Ok(Self { file, read_to: 0, charged: HashSet::new(), gate: Gate::new() })
    }

    /// Whether the file has a charge of this order now.
    pub(crate) fn has_charge(&mut self, order: &Order) -> io::Result<bool> {
        self.read_on()?;
        Ok(self.charged.contains(&order.id))
    }

    /// Writes down a charge and asks no questions.
    pub(crate) fn append(
        &self,
        order: &Order,
        worker: &str,
        token: Option<FencingToken>,
    ) -> io::Result<()> {
        let token = token.map_or_else(|| "-".to_owned(), |token| token.to_string());
        let line = format!("{},{},{worker},{token}\n", order.id, order.amount);
        // One write in append mode: the lines of several processes do not mix.
        (&self.file).write_all(line.as_bytes())
    }

    /// Writes down a charge unless a newer holder of the order's lock was here before.
    pub(crate) fn charge(
        &mut self,
        order: &Order,
        worker: &str,
        token: FencingToken,
    ) -> Result<(), ChargeError> {
        // Between the look at the tokens and the write no newer token may come in, so the two are
        // one critical section for all who have the file open. It lasts microseconds.
        FileExt::lock(&self.file)?;
        let outcome = self.admit_and_append(order, worker, token);
        FileExt::unlock(&self.file)?;
        outcome
    }

    fn admit_and_append(
        &mut self,
        order: &Order,
        worker: &str,
        token: FencingToken,
    ) -> Result<(), ChargeError> {
        self.read_on()?;
        self.gate.admit(&order.id, token).map_err(ChargeError::Refused)?;
        Ok(self.append(order, worker, Some(token))?)
    }

    /// Reads what was appended since, by whomever.
    fn read_on(&mut self) -> io::Result<()> {
        let mut tail = Vec::new();
        self.file.seek(SeekFrom::Start(self.read_to))?;
        self.file.read_to_end(&mut tail)?;
        let whole = whole_lines(&tail);
        for entry in parse(whole)? {
            if let Some(token) = entry.token {
                self.gate.observe(&entry.order, token);
            }
            self.charged.insert(entry.order);
        }
        self.read_to += whole.len() as u64;
        Ok(())
    }
}

/// One line of a ledger.
pub(crate) struct Entry {
    pub(crate) order: String,
    pub(crate) amount: u64,
    token: Option<FencingToken>,
}

/// Reads a whole ledger anew.
pub(crate) fn entries(path: &Path) -> io::Result<Vec<Entry>> {
    parse(whole_lines(&std::fs::read(path)?))
}

/// Without the last line if it has no end: it is being written, and is read the next time.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    &bytes[..end]
}

fn parse(lines: &[u8]) -> io::Result<Vec<Entry>> {
    let lines = std::str::from_utf8(lines).map_err(|error| broken(error.to_string()))?;
    lines.lines().map(parse_line).collect()
}

fn parse_line(line: &str) -> io::Result<Entry> {
    let entry = || {
        let fields: Vec<_> = line.split(',').collect();
        let [order, amount, _worker, token] = fields[..] else { return None };
        let token = match token {
            "-" => None,
            number => Some(number.parse().ok()?),
        };
        Some(Entry { order: order.to_owned(), amount: amount.parse().ok()?, token })
    };
    entry().ok_or_else(|| broken(format!("{line:?} is not order_id,amount,worker,token")))
}

fn broken(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the ledger is broken: {what}"))
}

/// Why a charge was not written down.
#[derive(Debug)]
pub(crate) enum ChargeError {
    /// Its token is older than one that the ledger has seen for this order.
    Refused(StaleToken),
    /// The file cannot be read or written.
    Io(io::Error),
}

impl From<io::Error> for ChargeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for ChargeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused(_) => "the ledger refuses the charge",
            Self::Io(_) => "cannot charge",
        })
    }
}

impl std::error::Error for ChargeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(match self {
            Self::Refused(stale) => stale,
            Self::Io(error) => error,
        })
    }
}
