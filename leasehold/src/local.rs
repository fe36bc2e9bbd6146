//! The in-process backend.

use lock_local::LocalConfig;
use lockcore::{Locks, Result};

use crate::address::Address;
use crate::connect::Connecting;
use crate::options::{Options, invalid};

pub(crate) fn connect<'a>(address: &'a Address, options: &'a mut Options) -> Connecting<'a> {
    Box::pin(async { open(address, options) })
}

pub(crate) fn open(address: &Address, options: &mut Options) -> Result<Locks> {
    if !address.hosts.is_empty() || !matches!(address.path.as_str(), "" | "/") {
        return Err(invalid(
            "`local:` is this process and takes no host or path; names are kept apart by \
             `local:?prefix=NAME`"
                .to_owned(),
        ));
    }
    let mut config = LocalConfig::new();
    if let Some(prefix) = options.text("prefix") {
        config = config.prefix(prefix);
    }
    if let Some(max_waiters) = options.number("max_waiters")? {
        config = config.max_waiters(max_waiters)?;
    }
    Ok(Locks::new(config.connect()))
}
