//! From a URL to locks.

use std::pin::Pin;

use lockcore::{Error, ErrorKind, Locks, Result};

use crate::address::Address;
use crate::options::{Options, invalid};

/// Connects to the backend that `url` names.
///
/// | URL | backend | feature |
/// |---|---|---|
/// | `local:` | this process | `local` (default) |
/// | `redis://HOST:6379/DATABASE` | a Redis or Valkey server | `redis` |
/// | `redis+sentinel://HOST:26379,HOST:26379/MASTER/DATABASE` | the master that sentinels know by this name | `redis` |
/// | `redis+cluster://HOST:6379,HOST:6379` | a cluster | `redis` |
/// | `rediss://…`, `rediss+sentinel://…`, `rediss+cluster://…` | the same over TLS | `redis` |
/// | `etcd://HOST:2379,HOST:2379/PREFIX` | an etcd: members of one cluster | `etcd` |
/// | `etcds://…` | the same over TLS | `etcd` |
/// | `zk://HOST:2181,HOST:2181/CHROOT` | a ZooKeeper: members of one ensemble | `zk` |
/// | `zks://…` | the same over TLS, at ports for TLS | `zk` |
///
/// Every backend takes these parameters, as in `local:?ttl=30s&owner=worker-7`:
///
/// | parameter | meaning | default |
/// |---|---|---|
/// | `ttl` | how long the store keeps a lock whose holder says nothing | `10s` |
/// | `owner` | the label that `inspect` shows | none |
/// | `prefix` | keeps the names apart from those under another prefix | none; `leasehold` in all stores with servers |
/// | `max_waiters` | how many may wait for one name | `100000` |
///
/// Those with servers also take these:
///
/// | parameter | meaning | default |
/// |---|---|---|
/// | `request_timeout` | how long one command may take before its outcome counts as unknown | `2s` |
/// | `recheck` | how often a waiter looks though nothing woke it; never less often than `ttl` / 3 | `5s` |
/// | `tls_ca` | a file in PEM: the authority to trust | those of the system |
/// | `tls_cert`, `tls_key` | files in PEM: who we are | none |
/// | `sentinel_username`, `sentinel_password` | who we are to the sentinels; Redis only | none |
///
/// A backend with servers has them before its path, as in
/// `SCHEME://USER:PASSWORD@HOST:PORT,[::1]:PORT/PATH?ttl=30s`: commas between hosts, where it takes
/// several; brackets around IPv6; one user and password for all. In these two write `%40`, `%2F`,
/// `%3F`, `%23` and `%25` for `@`, `/`, `?`, `#` and `%`; behind the hosts write `%40` for `@`.
///
/// etcd counts a `ttl` in whole seconds, and takes none shorter than a server of its times does: `2s`
/// unless its election timeout was changed. Its prefix is in the path or in `prefix`, not in both.
///
/// ZooKeeper takes a `ttl` between its `minSessionTimeout` and its `maxSessionTimeout`: `4s` to `40s`
/// unless it was set up otherwise. The path is the chroot, a node that is there, and holds for what
/// `prefix` says too: locks of `zk://HOST/apps?prefix=shop` are in `/apps/shop`. `USER:PASSWORD` is a
/// login by the scheme `digest`: nodes are for that user alone then. All who share locks give the same
/// chroot, prefix and user.
///
/// # Errors
///
/// [`ErrorKind::InvalidConfig`] for a URL that is none, a scheme or a parameter that is unknown,
/// or a value out of range; the message names what is wrong and what exists. The URL itself is
/// never part of it: it may hold a password.
///
/// # Cancel safety
///
/// Nothing is left behind.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> leasehold::Result<()> {
/// let locks = leasehold::connect("local:?ttl=30s").await?;
/// let guard = locks.mutex("orders/123")?.lock().await?;
/// println!("charging under token {}", guard.token());
/// guard.release().await?;
/// # Ok(())
/// # }
/// ```
///
/// An ensemble of ZooKeeper, below the node `/apps`:
///
/// ```no_run
/// # async fn example() -> leasehold::Result<()> {
/// let url = "zk://worker:secret@10.0.0.1,10.0.0.2:2182,[::1]/apps?prefix=shop&ttl=10s";
/// let locks = leasehold::connect(url).await?;
/// # Ok(())
/// # }
/// ```
pub async fn connect(url: &str) -> Result<Locks> {
    let (address, url) = Address::parse(url).map_err(|error| {
        invalid(format!(
            "this is not a URL, such as `local:` or `redis://HOST:6379`: {error}; {}",
            known_schemes()
        ))
    })?;
    let scheme = SCHEMES.iter().find(|known| known.name == address.scheme);
    let Some(connect) = scheme.and_then(|scheme| scheme.connect) else {
        return Err(unknown(&address.scheme));
    };
    let mut options = Options::parse(&url)?;
    let locks = connect(&address, &mut options).await?;
    options.finish(locks)
}

/// A scheme that some build of this crate knows.
struct Scheme {
    name: &'static str,
    feature: &'static str,
    /// `None` when the feature is off.
    connect: Option<for<'a> fn(&'a Address, &'a mut Options) -> Connecting<'a>>,
}

/// A backend on its way to its server.
pub(crate) type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Locks>> + Send + 'a>>;

const SCHEMES: &[Scheme] = &[
    Scheme {
        name: "local",
        feature: "local",
        #[cfg(feature = "local")]
        connect: Some(crate::local::connect),
        #[cfg(not(feature = "local"))]
        connect: None,
    },
    redis("redis"),
    redis("rediss"),
    redis("redis+cluster"),
    redis("rediss+cluster"),
    redis("redis+sentinel"),
    redis("rediss+sentinel"),
    etcd("etcd"),
    etcd("etcds"),
    zk("zk"),
    zk("zks"),
];

const fn redis(name: &'static str) -> Scheme {
    Scheme {
        name,
        feature: "redis",
        #[cfg(feature = "redis")]
        connect: Some(crate::redis::connect),
        #[cfg(not(feature = "redis"))]
        connect: None,
    }
}

const fn etcd(name: &'static str) -> Scheme {
    Scheme {
        name,
        feature: "etcd",
        #[cfg(feature = "etcd")]
        connect: Some(crate::etcd::connect),
        #[cfg(not(feature = "etcd"))]
        connect: None,
    }
}

const fn zk(name: &'static str) -> Scheme {
    Scheme {
        name,
        feature: "zk",
        #[cfg(feature = "zk")]
        connect: Some(crate::zk::connect),
        #[cfg(not(feature = "zk"))]
        connect: None,
    }
}

fn unknown(scheme: &str) -> Error {
    let message = match SCHEMES.iter().find(|known| known.name == scheme) {
        Some(Scheme { feature, .. }) => format!(
            "the scheme `{scheme}:` needs the feature `{feature}`: write \
             leasehold = {{ version = \"{}\", features = [\"{feature}\"] }}",
            env!("CARGO_PKG_VERSION")
        ),
        None => format!(
            "there is no backend for the scheme `{scheme}:`; {}. A URL begins with one, as in \
             `redis://HOST:6379`",
            known_schemes()
        ),
    };
    Error::new(ErrorKind::InvalidConfig, message)
}

fn known_schemes() -> String {
    let built = SCHEMES.iter().filter(|scheme| scheme.connect.is_some());
    let known: Vec<_> = built.map(|scheme| format!("`{}:`", scheme.name)).collect();
    match known.as_slice() {
        [] => "this build has no backend: enable one of the features of leasehold".to_owned(),
        known => format!("this build knows {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_feature_is_named() {
        let text = unknown("local").to_string();
        assert!(text.contains("features = [\"local\"]"), "{text}");
        let text = unknown("etcds").to_string();
        assert!(text.contains("`etcds:`") && text.contains("features = [\"etcd\"]"), "{text}");
        let text = unknown("zk").to_string();
        assert!(text.contains("`zk:`") && text.contains("features = [\"zk\"]"), "{text}");
        let text = unknown("gopher").to_string();
        assert!(text.contains("`gopher:`") && text.contains(&known_schemes()), "{text}");
    }
    #[test]
    fn connecting_may_move_between_threads() {
        fn is_send(_: impl Send) {}
        is_send(connect("local:"));
    }
}
