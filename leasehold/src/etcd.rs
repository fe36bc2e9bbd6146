//! The backend for etcd.

use lock_etcd::{EtcdConfig, EtcdTls};
use lockcore::{Locks, Result};

use crate::address::Address;
use crate::connect::Connecting;
use crate::options::{Options, invalid};
use crate::servers::{TlsFiles, decode_path, hosts, login, with};

pub(crate) fn connect<'a>(address: &'a Address, options: &'a mut Options) -> Connecting<'a> {
    Box::pin(async move {
        let config = config(address, options)?;
        options.check()?;
        Ok(Locks::new(config.connect().await?))
    })
}

pub(crate) fn config(address: &Address, options: &mut Options) -> Result<EtcdConfig> {
    let mut config = EtcdConfig::new(hosts(address, PORT)?);
    if let Some((user, password)) = login(address, "etcd")? {
        config = config.login(user, password);
    }
    let config = with(config, prefix(address, options)?, EtcdConfig::prefix)?;
    let config = with(config, options.number("max_waiters")?, EtcdConfig::max_waiters)?;
    let config = with(config, options.duration("request_timeout")?, EtcdConfig::request_timeout)?;
    let config = with(config, options.duration("recheck")?, EtcdConfig::recheck)?;
    let files = TlsFiles::take(options, address.scheme == "etcds", ["etcd", "etcds"])?;
    Ok(match files {
        Some(files) => config.tls(files.put_in(EtcdTls::new(), EtcdTls::ca, EtcdTls::client)),
        None => config,
    })
}

/// The path, or the parameter.
fn prefix(address: &Address, options: &mut Options) -> Result<Option<String>> {
    let given = options.text("prefix");
    // Only the first slash: keys may begin with another one.
    let path = address.path.strip_prefix('/').unwrap_or(&address.path);
    if path.is_empty() {
        return Ok(given);
    }
    if given.is_some() {
        return Err(invalid(
            "the path of the URL is the prefix, and `prefix` is given too: leave one of them out"
                .to_owned(),
        ));
    }
    decode_path(path, "prefix").map(Some)
}

const PORT: u16 = 2379;
