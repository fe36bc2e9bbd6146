//! The backend for Redis and Valkey.

use std::fs;

use lock_redis::{RedisConfig, RedisTls};
use lockcore::{Error, ErrorKind, Locks, Result};
use percent_encoding::percent_decode_str;

use crate::address::Address;
use crate::connect::Connecting;
use crate::options::{Options, invalid};

pub(crate) fn connect<'a>(address: &'a Address, options: &'a mut Options) -> Connecting<'a> {
    Box::pin(async move {
        let config = config(address, options)?;
        options.check()?;
        Ok(Locks::new(config.connect().await?))
    })
}

fn config(address: &Address, options: &mut Options) -> Result<RedisConfig> {
    let (kind, is_tls) = match address.scheme.split_once('+') {
        Some((tls, kind)) => (Some(kind), tls == "rediss"),
        None => (None, address.scheme == "rediss"),
    };
    let (config, database) = match kind {
        None => single(address)?,
        Some("cluster") => (RedisConfig::cluster(hosts(address, PORT)?), database(&address.path)?),
        Some(_) => sentinel(address)?,
    };
    let mut config = config.database(database)?;
    match (&address.username, &address.password) {
        (user, Some(password)) => config = config.login(user.as_deref(), password),
        (Some(_), None) => {
            return Err(invalid(
                "a user comes with a password, `USER:PASSWORD@HOST`; a password alone is written \
                 `:PASSWORD@HOST`"
                    .to_owned(),
            ));
        }
        (None, None) => {}
    }
    let sentinel_user = options.text("sentinel_username");
    if let Some(password) = options.text("sentinel_password") {
        config = config.sentinel_login(sentinel_user.as_deref(), password);
    }
    if let Some(prefix) = options.text("prefix") {
        config = config.prefix(prefix)?;
    }
    if let Some(max_waiters) = options.number("max_waiters")? {
        config = config.max_waiters(max_waiters)?;
    }
    if let Some(limit) = options.duration("request_timeout")? {
        config = config.request_timeout(limit)?;
    }
    if let Some(pace) = options.duration("recheck")? {
        config = config.recheck(pace)?;
    }
    let files = TLS.map(|name| options.text(name));
    match (is_tls, files) {
        (true, files) => Ok(config.tls(tls(files)?)),
        (false, [None, None, None]) => Ok(config),
        (false, _) => Err(invalid(
            "`tls_ca`, `tls_cert` and `tls_key` go with TLS: write `rediss` for `redis`".to_owned(),
        )),
    }
}

fn single(address: &Address) -> Result<(RedisConfig, u32)> {
    let hosts = hosts(address, PORT)?;
    let [(host, port)] = hosts.as_slice() else {
        return Err(invalid(
            "one server has one address; for several write `redis+cluster` or `redis+sentinel`"
                .to_owned(),
        ));
    };
    Ok((RedisConfig::single(host, *port), database(&address.path)?))
}

/// The path is the master's name, and perhaps the number of the database.
fn sentinel(address: &Address) -> Result<(RedisConfig, u32)> {
    let path = address.path.trim_start_matches('/');
    let (master, number) = path.split_once('/').unwrap_or((path, ""));
    let master = percent_decode_str(master).decode_utf8().unwrap_or_default();
    if master.is_empty() {
        return Err(invalid(
            "sentinels are asked for a master by name: `redis+sentinel://HOST:26379/NAME`"
                .to_owned(),
        ));
    }
    let hosts = hosts(address, SENTINEL_PORT)?;
    Ok((RedisConfig::sentinel(hosts, master), database(number)?))
}

fn hosts(address: &Address, port: u16) -> Result<Vec<(String, u16)>> {
    if address.hosts.is_empty() {
        return Err(invalid(format!(
            "the URL names no server: `{}://HOST:{port}`",
            address.scheme
        )));
    }
    let hosts = address.hosts.iter();
    Ok(hosts.map(|(host, given)| (host.clone(), given.unwrap_or(port))).collect())
}

fn database(path: &str) -> Result<u32> {
    match path.trim_matches('/') {
        "" => Ok(0),
        number => number.parse().map_err(|_| {
            invalid("the path is the number of a database, as in `redis://HOST/2`".to_owned())
        }),
    }
}

fn tls(files: [Option<String>; TLS.len()]) -> Result<RedisTls> {
    let mut read = TLS
        .into_iter()
        .zip(files)
        .map(|(name, path)| path.map(|path| file(name, &path)).transpose());
    let mut next = || read.next().unwrap_or(Ok(None));
    let (ca, certificate, key) = (next()?, next()?, next()?);
    let mut tls = RedisTls::new();
    if let Some(ca) = ca {
        tls = tls.ca(ca);
    }
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(tls.client(certificate, key)),
        (None, None) => Ok(tls),
        _ => Err(invalid("`tls_cert` and `tls_key` come together".to_owned())),
    }
}

fn file(name: &str, path: &str) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| {
        Error::new(ErrorKind::InvalidConfig, format!("`{name}` names a file in PEM: {error}"))
    })
}

const TLS: [&str; 3] = ["tls_ca", "tls_cert", "tls_key"];
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
