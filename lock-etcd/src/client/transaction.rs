//! Transactions and what they answer.

use std::panic::{AssertUnwindSafe, catch_unwind};

use etcd_client::{
    Compare, CompareOp, GetOptions, KeyValue, PutOptions, SortOrder, SortTarget, Txn, TxnOp,
    TxnOpResponse, TxnResponse,
};
use lockcore::{Error, ErrorKind, Result};

use crate::keys::Span;

/// A transaction that is being put together.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    conditions: Vec<Compare>,
    then: Vec<TxnOp>,
    otherwise: Vec<TxnOp>,
}

/// A question for keys, without values and leases unless these are asked for.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    key: Vec<u8>,
    options: GetOptions,
}

impl Look {
    /// For one key, with its value and its lease.
    pub(crate) fn whole(key: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into(), options: GetOptions::new() }
    }

    /// For one key.
    pub(crate) fn at(key: impl Into<Vec<u8>>) -> Self {
        Self { key: key.into(), options: GetOptions::new().with_keys_only() }
    }

    /// For the newest of these, so many at the most.
    pub(crate) fn newest(span: Span, limit: i64) -> Self {
        let options = GetOptions::new()
            .with_range(span.to)
            .with_sort(SortTarget::Create, SortOrder::Descend)
            .with_limit(limit)
            .with_keys_only();
        Self { key: span.from.into(), options }
    }

    /// For those that were there when the revision was `revision`.
    pub(crate) fn until(mut self, revision: i64) -> Self {
        self.options = self.options.with_max_create_revision(revision);
        self
    }

    /// For how many there are.
    pub(crate) fn count(span: Span) -> Self {
        Self {
            key: span.from.into(),
            options: GetOptions::new().with_range(span.to).with_count_only(),
        }
    }

    /// For all, with their values, the oldest first.
    pub(crate) fn all(span: Span) -> Self {
        let options =
            GetOptions::new().with_range(span.to).with_sort(SortTarget::Create, SortOrder::Ascend);
        Self { key: span.from.into(), options }
    }

    fn op(&self) -> TxnOp {
        TxnOp::get(self.key.as_slice(), Some(self.options.clone()))
    }
}

impl Transaction {
    /// If the key has this version, which is 0 for a key that is not there.
    pub(crate) fn if_version(mut self, key: &str, version: i64) -> Self {
        self.conditions.push(Compare::version(key, CompareOp::Equal, version));
        self
    }

    /// If the key is the one that this revision created.
    pub(crate) fn if_created(mut self, key: &str, revision: i64) -> Self {
        self.conditions.push(Compare::create_revision(key, CompareOp::Equal, revision));
        self
    }

    /// If all of these were created before `revision`; with 1, if there are none.
    pub(crate) fn if_older(mut self, span: Span, revision: i64) -> Self {
        let older = Compare::create_revision(span.from, CompareOp::Less, revision);
        self.conditions.push(older.with_range(span.to));
        self
    }

    /// Then writes a key under a lease.
    pub(crate) fn put(mut self, key: &str, value: &str, lease: i64) -> Self {
        let options = PutOptions::new().with_lease(lease);
        self.then.push(TxnOp::put(key, value, Some(options)));
        self
    }

    /// Then deletes a key.
    pub(crate) fn delete(mut self, key: &str) -> Self {
        self.then.push(TxnOp::delete(key, None));
        self
    }

    /// Then asks.
    pub(crate) fn look(mut self, look: &Look) -> Self {
        self.then.push(look.op());
        self
    }

    /// Asks, if the conditions do not hold.
    pub(crate) fn or_look(mut self, look: &Look) -> Self {
        self.otherwise.push(look.op());
        self
    }

    pub(super) fn into_inner(self) -> Txn {
        let mut inner = Txn::new();
        if !self.conditions.is_empty() {
            inner = inner.when(self.conditions);
        }
        if !self.then.is_empty() {
            inner = inner.and_then(self.then);
        }
        if !self.otherwise.is_empty() {
            inner = inner.or_else(self.otherwise);
        }
        inner
    }
}

/// What a transaction did.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Whether its conditions held.
    pub(crate) held: bool,
    /// The revision of the store when it was done, or that it made.
    pub(crate) revision: i64,
    answers: std::vec::IntoIter<Answer>,
}

/// What one step of a transaction did.
#[derive(Debug)]
pub(crate) enum Answer {
    Wrote,
    Deleted(bool),
    /// Keys, and how many there are in all, whatever the limit and the revision were.
    Found(Vec<Row>, usize),
}

/// A key that stands in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    /// The revision that created it.
    pub(crate) created: i64,
    pub(crate) version: i64,
    /// Zero if it has none, or was not asked for: servers since 3.6 do not tell it with keys alone.
    pub(crate) lease: i64,
}

impl Outcome {
    pub(super) fn read(response: TxnResponse) -> Result<Self> {
        let revision = response.header().map(etcd_client::ResponseHeader::revision);
        // At an answer without content, which no server should give, the client library panics.
        let answers = catch_unwind(AssertUnwindSafe(|| response.op_responses()));
        let answers: Vec<_> = answers
            .map_err(|_| unexpected())?
            .into_iter()
            .map(|answer| match answer {
                TxnOpResponse::Put(_) => Ok(Answer::Wrote),
                TxnOpResponse::Delete(deleted) => Ok(Answer::Deleted(deleted.deleted() > 0)),
                TxnOpResponse::Get(mut found) => {
                    let count = usize::try_from(found.count()).unwrap_or_default();
                    let rows = found.take_kvs().into_iter().map(Row::from).collect();
                    Ok(Answer::Found(rows, count))
                }
                TxnOpResponse::Txn(_) => Err(unexpected()),
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            held: response.succeeded(),
            revision: revision.ok_or_else(unexpected)?,
            answers: answers.into_iter(),
        })
    }

    /// What the next step found, which asked.
    pub(crate) fn found(&mut self) -> Result<(Vec<Row>, usize)> {
        match self.answers.next() {
            Some(Answer::Found(rows, count)) => Ok((rows, count)),
            _ => Err(unexpected()),
        }
    }

    /// Whether the next step deleted something.
    pub(crate) fn deleted(&mut self) -> Result<bool> {
        match self.answers.next() {
            Some(Answer::Deleted(deleted)) => Ok(deleted),
            _ => Err(unexpected()),
        }
    }

    /// The next step wrote.
    pub(crate) fn wrote(&mut self) -> Result<()> {
        match self.answers.next() {
            Some(Answer::Wrote) => Ok(()),
            _ => Err(unexpected()),
        }
    }
}

impl From<KeyValue> for Row {
    fn from(found: KeyValue) -> Self {
        let (created, version, lease) = (found.create_revision(), found.version(), found.lease());
        let (key, value) = found.into_key_value();
        Self { key, value, created, version, lease }
    }
}

fn unexpected() -> Error {
    Error::new(ErrorKind::Backend, "the server answered something else than it was asked")
}
