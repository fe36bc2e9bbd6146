//! How a server is started.

use std::path::Path;
use std::process::Command;

use crate::etcd::options::EtcdOptions;
use crate::port::Port;
use crate::tls::{Tls, TlsOptions};

/// The ports of one server.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) client: Port,
    pub(crate) observer: Port,
    pub(crate) peer: Port,
}

impl Ports {
    pub(crate) fn claim() -> Self {
        Self { client: Port::claim(), observer: Port::claim(), peer: Port::claim() }
    }
}

/// How a server is told of its peers.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    pub(crate) flags: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Peers {
    pub(crate) fn none(ports: &Ports) -> Self {
        let url = format!("http://{}", ports.peer.addr());
        let flags = vec![
            "--name=alone".to_owned(),
            format!("--listen-peer-urls={url}"),
            format!("--initial-advertise-peer-urls={url}"),
            format!("--initial-cluster=alone={url}"),
        ];
        Self { flags, environment: Vec::new() }
    }
}

/// The command that starts a server.
pub(crate) fn command(
    options: &EtcdOptions,
    ports: &Ports,
    peers: &Peers,
    tls: Option<&Tls>,
    data: &Path,
) -> Command {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let client = format!("{scheme}://{}", ports.client.addr());
    let mut command = options.command();
    command
        .arg(format!("--data-dir={}", data.display()))
        .arg(format!("--listen-client-urls={client},http://{}", ports.observer.addr()))
        .arg(format!("--advertise-client-urls={client}"))
        .args(&peers.flags)
        .envs(peers.environment.iter().map(|(name, value)| (name, value)));
    if let (Some(options), Some(tls)) = (&options.tls, tls) {
        certificates(&mut command, options, tls);
    }
    command
}

#[cfg(feature = "tls")]
fn certificates(command: &mut Command, options: &TlsOptions, tls: &Tls) {
    command
        .arg(format!("--cert-file={}", tls.server_cert_path().display()))
        .arg(format!("--key-file={}", tls.server_key_path().display()));
    if options.asks_clients() {
        command
            .arg("--client-cert-auth")
            .arg(format!("--trusted-ca-file={}", tls.ca_path().display()));
    }
}

#[cfg(not(feature = "tls"))]
fn certificates(_: &mut Command, _: &TlsOptions, tls: &Tls) {
    match *tls {}
}
