//! The backend for etcd.

use lock_etcd::{EtcdConfig, EtcdTls};
use lockcore::{Locks, Result};
use percent_encoding::percent_decode_str;

use crate::address::Address;
use crate::connect::Connecting;
use crate::options::{Options, invalid};
use crate::servers::{TlsFiles, hosts, with};

pub(crate) fn connect<'a>(address: &'a Address, options: &'a mut Options) -> Connecting<'a> {
    Box::pin(async move {
        let config = config(address, options)?;
        options.check()?;
        Ok(Locks::new(config.connect().await?))
    })
}

fn config(address: &Address, options: &mut Options) -> Result<EtcdConfig> {
    let mut config = EtcdConfig::new(hosts(address, PORT)?);
    if let Some((user, password)) = login(address)? {
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

fn login(address: &Address) -> Result<Option<(&str, &str)>> {
    match (&address.username, &address.password) {
        (Some(user), Some(password)) => Ok(Some((user, password))),
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(invalid("a user comes with a password: write `USER:PASSWORD@HOST`".to_owned()))
        }
        (None, Some(_)) => Err(invalid(
            "etcd wants a user with the password: write `USER:PASSWORD@HOST`".to_owned(),
        )),
    }
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
    match percent_decode_str(path).decode_utf8() {
        Ok(path) => Ok(Some(path.into_owned())),
        Err(_) => Err(invalid("the path is the prefix, and is not UTF-8".to_owned())),
    }
}

const PORT: u16 = 2379;
