//! What backends with servers share: their hosts, their files for TLS, their options.

use std::fs;

use lockcore::Result;
#[cfg(any(feature = "etcd", feature = "zk"))]
use percent_encoding::percent_decode_str;

use crate::address::Address;
use crate::options::{Options, invalid, shown};

/// The hosts of a URL; one without a port has `port`.
pub(crate) fn hosts(address: &Address, port: u16) -> Result<Vec<(String, u16)>> {
    if address.hosts.is_empty() {
        return Err(invalid(format!(
            "the URL names no server: `{}://HOST:{port}`",
            address.scheme
        )));
    }
    let hosts = address.hosts.iter();
    Ok(hosts.map(|(host, given)| (host.clone(), given.unwrap_or(port))).collect())
}

/// User and password, of a store that wants both or none.
#[cfg(any(feature = "etcd", feature = "zk"))]
pub(crate) fn login<'a>(address: &'a Address, store: &str) -> Result<Option<(&'a str, &'a str)>> {
    match (&address.username, &address.password) {
        (Some(user), Some(password)) => Ok(Some((user, password))),
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(invalid("a user comes with a password: write `USER:PASSWORD@HOST`".to_owned()))
        }
        (None, Some(_)) => Err(invalid(format!(
            "{store} wants a user with the password: write `USER:PASSWORD@HOST`"
        ))),
    }
}

/// The path of a URL as it is meant, which is `what` in the store.
#[cfg(any(feature = "etcd", feature = "zk"))]
pub(crate) fn decode_path(path: &str, what: &str) -> Result<String> {
    match percent_decode_str(path).decode_utf8() {
        Ok(path) => Ok(path.into_owned()),
        Err(_) => Err(invalid(format!("the path is the {what}, and is not UTF-8"))),
    }
}

/// A configuration in which `value`, if there is one, is set.
pub(crate) fn with<C, V>(
    config: C,
    value: Option<V>,
    set: impl FnOnce(C, V) -> Result<C>,
) -> Result<C> {
    match value {
        Some(value) => set(config, value),
        None => Ok(config),
    }
}

/// What the files in PEM say.
pub(crate) struct TlsFiles {
    ca: Option<Vec<u8>>,
    /// Certificate and key.
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl TlsFiles {
    /// Takes the parameters for TLS, and reads the files; `None` without TLS, by which `plain` has
    /// become `secure`.
    pub(crate) fn take(
        options: &mut Options,
        is_tls: bool,
        [plain, secure]: [&str; 2],
    ) -> Result<Option<Self>> {
        let paths = NAMES.map(|name| options.text(name));
        if is_tls {
            return Self::read(paths).map(Some);
        }
        if paths.iter().any(Option::is_some) {
            return Err(invalid(format!(
                "`tls_ca`, `tls_cert` and `tls_key` go with TLS: write `{secure}` for `{plain}`"
            )));
        }
        Ok(None)
    }

    /// `tls` with the authority and who we are, as far as they were given.
    pub(crate) fn put_in<T>(
        self,
        tls: T,
        ca: impl FnOnce(T, Vec<u8>) -> T,
        client: impl FnOnce(T, Vec<u8>, Vec<u8>) -> T,
    ) -> T {
        let tls = match self.ca {
            Some(pem) => ca(tls, pem),
            None => tls,
        };
        match self.client {
            Some((certificate, key)) => client(tls, certificate, key),
            None => tls,
        }
    }

    fn read(paths: [Option<String>; NAMES.len()]) -> Result<Self> {
        let [ca, certificate, key] = paths;
        let [ca_name, certificate_name, key_name] = NAMES;
        let ca = file(ca_name, ca)?;
        match (file(certificate_name, certificate)?, file(key_name, key)?) {
            (Some(certificate), Some(key)) => Ok(Self { ca, client: Some((certificate, key)) }),
            (None, None) => Ok(Self { ca, client: None }),
            _ => Err(invalid("`tls_cert` and `tls_key` come together".to_owned())),
        }
    }
}

fn file(name: &str, path: Option<String>) -> Result<Option<Vec<u8>>> {
    let read = |path: String| {
        fs::read(&path).map_err(|error| {
            invalid(format!("`{name}` names a file in PEM, and {}: {error}", shown(&path)))
        })
    };
    path.map(read).transpose()
}

const NAMES: [&str; 3] = ["tls_ca", "tls_cert", "tls_key"];
