//! The in-process backend.

use lock_local::LocalConfig;
use lockcore::{Locks, Result};
use url::Url;

use crate::options::{Options, invalid};

pub(crate) fn connect(url: &Url, options: &mut Options) -> Result<Locks> {
    if url.has_host() || !matches!(url.path(), "" | "/") {
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
