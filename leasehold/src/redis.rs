//! The backend for Redis and Valkey.

use lock_redis::{RedisConfig, RedisTls};
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

pub(crate) fn config(address: &Address, options: &mut Options) -> Result<RedisConfig> {
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
    let config = with(config, options.text("prefix"), RedisConfig::prefix)?;
    let config = with(config, options.number("max_waiters")?, RedisConfig::max_waiters)?;
    let config = with(config, options.duration("request_timeout")?, RedisConfig::request_timeout)?;
    let config = with(config, options.duration("recheck")?, RedisConfig::recheck)?;
    Ok(match TlsFiles::take(options, is_tls, ["redis", "rediss"])? {
        Some(files) => config.tls(files.put_in(RedisTls::new(), RedisTls::ca, RedisTls::client)),
        None => config,
    })
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

fn database(path: &str) -> Result<u32> {
    match path.trim_matches('/') {
        "" => Ok(0),
        number => number.parse().map_err(|_| {
            invalid("the path is the number of a database, as in `redis://HOST/2`".to_owned())
        }),
    }
}

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
