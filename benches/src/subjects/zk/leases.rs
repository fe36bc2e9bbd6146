//! What many held leases cost.

use anyhow::Result;

use super::meter::Requests;
use super::ours;
use crate::subjects::store::TTL;
use crate::subjects::store::leases::Work;

/// What the process that holds them does.
pub(crate) async fn hold(work: &Work<'_>) -> Result<Vec<f64>> {
    work.run_ours::<Requests>(&ours::connect(work.url, TTL).await?).await
}
