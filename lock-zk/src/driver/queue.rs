//! Who stands under a name, and whose turn it is.

use lockcore::queue::{self, Ahead};
use lockcore::{Error, ErrorKind, Mode, Result};

use crate::client::{Connection, Node};
use crate::names::{Contender, Directory};

/// Those who stand in a directory, in their order.
#[derive(Debug)]
pub(super) struct Queue<'l> {
    contenders: Vec<Contender<'l>>,
}

/// Whether an entry may go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn<'q> {
    Granted,
    /// It waits for one of these to leave, after which it surely may go if it `is_next`.
    Wait {
        ahead: Vec<&'q str>,
        is_next: bool,
    },
}

impl<'l> Queue<'l> {
    pub(super) fn read(directory: &Directory, listed: &'l [String]) -> Result<Self> {
        let read =
            |node: &'l String| Contender::read(node).ok_or_else(|| stranger(&directory.at(node)));
        let mut contenders = listed.iter().map(read).collect::<Result<Vec<_>>>()?;
        contenders.sort_unstable_by(Contender::order);
        Ok(Self { contenders })
    }

    pub(super) fn all(&self) -> &[Contender<'l>] {
        &self.contenders
    }

    /// Those before the node of this path; `None` if that is not there.
    pub(super) fn before(&self, path: &str) -> Option<&[Contender<'l>]> {
        let own = path.rsplit('/').next()?;
        let place = self.contenders.iter().position(|contender| contender.node == own)?;
        Some(&self.contenders[..place])
    }
}

/// Whose turn it is, of one who wants `mode` and has these before it.
pub(super) fn turn<'l>(before: &[Contender<'l>], mode: Mode) -> Turn<'l> {
    let modes: Vec<_> = before.iter().map(|contender| contender.mode).collect();
    let queue::Turn::WaitFor(range) = queue::turn(&modes, mode) else { return Turn::Granted };
    let mut count = Ahead::default();
    modes.iter().for_each(|mode| count.add(*mode));
    let is_enough = |leaves: &Mode| {
        let mut count = count;
        count.remove(*leaves);
        count.admits(mode)
    };
    Turn::Wait {
        is_next: modes[range.clone()].iter().all(is_enough),
        ahead: before[range].iter().map(|contender| contender.node).collect(),
    }
}

/// How many wait among those who are listed, if the last of them does and wants `mode`.
pub(super) fn waiters(listed: &[String], mode: Mode) -> usize {
    let hold = match mode {
        Mode::Exclusive | Mode::Shared => 1,
        Mode::Permit { of } => of.get() as usize,
    };
    listed.len().saturating_sub(hold)
}

/// That those before us want what we want, and will go one day: of those that others have made, and
/// of all if one is `suspected`, that is asked.
pub(super) async fn check(
    connection: &Connection,
    directory: &Directory,
    before: &[Contender<'_>],
    mode: Mode,
    suspected: bool,
) -> Result<()> {
    for present in before.iter().map(|contender| contender.mode) {
        let is_other = match (mode, present) {
            (Mode::Permit { of }, Mode::Permit { of: theirs }) => of != theirs,
            (Mode::Permit { .. }, _) | (_, Mode::Permit { .. }) => true,
            _ => false,
        };
        if is_other {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!(
                    "this name is in use as {present} and cannot be taken as {mode} meanwhile: all \
                     who use a name want the same kind of lock, and the same count of permits"
                ),
            ));
        }
    }
    let strangers = before.iter().filter(|contender| suspected || !contender.is_ours);
    let paths: Vec<_> = strangers.map(|contender| directory.at(contender.node)).collect();
    if paths.is_empty() {
        return Ok(());
    }
    let found = connection.look(&paths).await?;
    match found.into_iter().flatten().find(|node| node.owner == 0) {
        Some(node) => Err(in_the_way(&node)),
        None => Ok(()),
    }
}

/// Nobody's end takes this node away.
fn in_the_way(node: &Node) -> Error {
    let message = format!(
        "the node `{}` belongs to no session and would be in the way for ever: another program made \
         it; remove it, or choose another name or `prefix`",
        node.path.escape_debug()
    );
    Error::new(ErrorKind::Backend, message)
}

/// It has no number, so nobody knows who is before it.
fn stranger(path: &str) -> Error {
    let message = format!(
        "the node `{}` is no contender of any known kind of lock: another program made it; remove it, \
         or choose another name or `prefix`",
        path.escape_debug()
    );
    Error::new(ErrorKind::Backend, message)
}
