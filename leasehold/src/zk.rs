//! The backend for ZooKeeper.

use lock_zk::{ZkConfig, ZkTls};
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

pub(crate) fn config(address: &Address, options: &mut Options) -> Result<ZkConfig> {
    let config = chroot(ZkConfig::new(hosts(address, PORT)?), &address.path)?;
    let config = match login(address, "ZooKeeper")? {
        Some((user, _)) if user.contains(':') => {
            return Err(invalid(
                "the user has a `:`, and in the logins of ZooKeeper the password begins there: \
                 choose another user"
                    .to_owned(),
            ));
        }
        Some((user, password)) => config.login(user, password),
        None => config,
    };
    let config = with(config, options.text("prefix"), ZkConfig::prefix)?;
    let config = with(config, options.number("max_waiters")?, ZkConfig::max_waiters)?;
    let config = with(config, options.duration("request_timeout")?, ZkConfig::request_timeout)?;
    let config = with(config, options.duration("recheck")?, ZkConfig::recheck)?;
    let files = TlsFiles::take(options, address.scheme == "zks", ["zk", "zks"])?;
    Ok(match files {
        Some(files) => config.tls(files.put_in(ZkTls::new(), ZkTls::ca, ZkTls::client)),
        None => config,
    })
}

/// The path, as in the connection strings of other clients.
fn chroot(config: ZkConfig, path: &str) -> Result<ZkConfig> {
    let path = decode_path(path, "chroot")?;
    let set = config.chroot(path);
    set.map_err(|error| invalid(format!("the path of the URL is the chroot: {}", error.message())))
}

const PORT: u16 = 2181;
