//! A holder that slept through its lease and does not know it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use leasehold::{ErrorKind, Renewal};

use crate::common::{Backend, progress};
use crate::ledger::{ChargeError, Ledger};
use crate::orders::Order;
use crate::report::{Audit, Row, money};
use crate::workers::pay;

/// Plays the scene, and returns a row for the ledger that checks tokens and one for the copy that
/// does not.
pub(crate) async fn scene(
    backend: &Backend,
    dir: &Path,
    ttl: Duration,
) -> anyhow::Result<[Row; 2]> {
    let (fenced, unfenced) = (dir.join("zombie.csv"), dir.join("zombie-unfenced.csv"));
    let order = Order::extra();
    let name = order.lock_name()?;
    // Two clients, as two processes have them.
    let (locks_a, locks_b) = (backend.connect().await?, backend.connect().await?);
    let (mut ledger_a, mut ledger_b) = (Ledger::open(&fenced)?, Ledger::open(&fenced)?);
    let begun = Instant::now();

    let lock_a = locks_a.mutex(&name)?.ttl(ttl).renewal(Renewal::Never).owner("A");
    let guard_a = lock_a.lock().await?;
    ensure!(!ledger_a.has_charge(&order)?, "{} is charged already", order.id);
    println!(
        "  A takes the lock of {} ({}, {}) for {ttl:?}: token {}.",
        order.id,
        order.customer,
        money(&order.currency, order.amount),
        guard_a.token()
    );
    println!("  A looks into the ledger, sees no charge, and freezes before it pays.");

    let bar = progress(1, "B waits for the end of A's lease");
    let guard_b = locks_b.mutex(&name)?.owner("B").lock().await?;
    bar.finish_and_clear();
    println!(
        "  B waits for the lock and has it after {:.1?}: token {}.",
        begun.elapsed(),
        guard_b.token()
    );
    ensure!(guard_b.token() > guard_a.token(), "the token of B is not greater than that of A");
    ensure!(!ledger_b.has_charge(&order)?, "A charged {} in its sleep", order.id);
    pay(&order).await;
    ledger_b.charge(&order, "B", guard_b.token())?;
    guard_b.release().await?;
    println!("  B sees no charge either, pays, and writes it into the ledger.");
    std::fs::copy(&fenced, &unfenced).context("cannot copy the ledger")?;

    println!(
        "  A wakes up. guard.is_held() says {}, but A does not ask and writes.",
        guard_a.is_held()
    );
    ensure!(!guard_a.is_held(), "A believes in its lock although B had it since");
    match ledger_a.charge(&order, "A", guard_a.token()) {
        Err(ChargeError::Refused(stale)) => println!(
            "  The ledger refuses A: its token {} is older than {}, which wrote before.",
            stale.offered(),
            stale.newest()
        ),
        Err(error) => return Err(error.into()),
        Ok(()) => bail!("the ledger took the late write of A: {} is charged twice", order.id),
    }
    match guard_a.release().await {
        Err(error) if error.kind() == ErrorKind::NotHeld => {
            println!("  guard.release() tells A as well: \"{error}\".");
        }
        Err(error) => return Err(error.into()),
        Ok(_) => bail!("A released a lock that it had lost, and was not told so"),
    }

    Ledger::open(&unfenced)?.append(&order, "A", None)?;
    println!(
        "  The same write of A into a copy that does not check tokens goes through: charged twice."
    );
    locks_a.shutdown().await?;
    locks_b.shutdown().await?;
    check(&order, [&fenced, &unfenced], begun.elapsed())
}

/// Both ledgers, read anew.
fn check(
    order: &Order,
    [fenced, unfenced]: [&Path; 2],
    time: Duration,
) -> anyhow::Result<[Row; 2]> {
    let orders = std::slice::from_ref(order);
    let (fenced, unfenced) = (Audit::of(fenced, orders)?, Audit::of(unfenced, orders)?);
    ensure!(fenced.is_exact(), "the ledger that checks tokens has {} charges", fenced.charges);
    ensure!(unfenced.twice == 1, "the ledger without the check has {} charges", unfenced.charges);
    Ok([
        Row::new("3  zombie, tokens checked", fenced, Some(time)),
        Row::new("   zombie, tokens ignored", unfenced, None),
    ])
}
