//! How a server is started.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::port::Port;
use crate::tls::{Tls, TlsOptions};
use crate::tools;
use crate::zk::digest::digest;
use crate::zk::options::ZkOptions;

/// The ports of one server.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) plain: Port,
    pub(crate) tls: Option<Port>,
}

impl Ports {
    pub(crate) fn claim(options: &ZkOptions) -> Self {
        Self { plain: Port::claim(), tls: options.tls.is_some().then(Port::claim) }
    }
}

/// How a server is told of its peers; alone, it is told nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers {
    pub(crate) id: Option<usize>,
    pub(crate) lines: Vec<String>,
    pub(crate) properties: Vec<String>,
}

/// Writes the configuration into `dir`, and makes the command that starts a server with it.
pub(crate) fn command(
    options: &ZkOptions,
    ports: &Ports,
    peers: &Peers,
    tls: Option<&Tls>,
    dir: &Path,
) -> Command {
    let tick = options.tick.as_millis();
    let mut lines = vec![
        format!("tickTime={tick}"),
        format!("dataDir={}", dir.join(DATA).display()),
        format!("clientPort={}", ports.plain.number()),
        "clientPortAddress=127.0.0.1".to_owned(),
        "admin.enableServer=false".to_owned(),
        "4lw.commands.whitelist=*".to_owned(),
    ];
    for (name, timeout) in
        [("minSessionTimeout", options.sessions.0), ("maxSessionTimeout", options.sessions.1)]
    {
        if let Some(timeout) = timeout {
            lines.push(format!("{name}={}", timeout.as_millis()));
        }
    }
    if let Some(port) = &ports.tls {
        lines.push(format!("secureClientPort={}", port.number()));
        lines.push("secureClientPortAddress=127.0.0.1".to_owned());
    }
    if let Some(id) = peers.id {
        fs::write(dir.join(DATA).join("myid"), id.to_string()).expect("the id is written");
    }
    lines.extend(peers.lines.iter().cloned());
    // The last one counts.
    lines.extend(options.settings.iter().map(|(name, value)| format!("{name}={value}")));
    let configuration = dir.join(CONFIGURATION);
    fs::write(&configuration, lines.join("\n") + "\n").expect("the configuration is written");

    let (user, password) = &options.superuser;
    let mut command = java();
    command
        // A table for tools that watch a JVM, which a killed one leaves in `/tmp`.
        .arg("-XX:-UsePerfData")
        .arg(format!("-Dzookeeper.forceSync={}", if options.forces_sync() { "yes" } else { "no" }))
        // Of the log, in kB, which is 64 MB otherwise.
        .arg("-Dzookeeper.preAllocSize=1024")
        .arg("-Dzookeeper.jmx.log4j.disable=true")
        .arg("-Dorg.slf4j.simpleLogger.showDateTime=true")
        // A line for each word of four letters otherwise.
        .arg(format!("{LOG_OF}.NIOServerCnxn=warn"))
        .arg(format!("{LOG_OF}.NettyServerCnxn=warn"))
        .arg(format!(
            "-Dzookeeper.DigestAuthenticationProvider.superDigest={}",
            digest(user, password)
        ))
        .args(&peers.properties)
        .args(options.properties.iter().map(|(name, value)| format!("-D{name}={value}")));
    if let (Some(options), Some(tls)) = (&options.tls, tls) {
        certificates(&mut command, options, tls, dir);
    }
    command.arg("-cp").arg(classpath(&JARS)).arg(MAIN).arg(configuration);
    command
}

/// A Java that starts quickly and is small: it never compiles for speed.
pub(crate) fn java() -> Command {
    let mut command = bare_java();
    command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command
}

/// A Java as it comes.
pub(crate) fn bare_java() -> Command {
    let mut command = Command::new(tools::installed("java"));
    // Flags for every Java on the machine would be printed, and obeyed.
    for name in ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"] {
        command.env_remove(name);
    }
    command
}

/// Where Debian has these archives, of which each names most of what it needs.
///
/// # Panics
///
/// When one is not installed.
pub(crate) fn classpath(jars: &[&str]) -> String {
    let paths: Vec<_> = jars.iter().map(|jar| format!("{JAVA_ARCHIVES}/{jar}.jar")).collect();
    for path in &paths {
        assert!(Path::new(path).is_file(), "{path} is not installed: run `cargo xtask setup`");
    }
    paths.join(":")
}

#[cfg(feature = "tls")]
fn certificates(command: &mut Command, options: &TlsOptions, tls: &Tls, dir: &Path) {
    let parts = [tls.server_cert_path(), tls.server_key_path()];
    let read = |path| fs::read_to_string(path).expect("the certificates are there");
    let both = dir.join(CERTIFICATE_AND_KEY);
    fs::write(&both, parts.map(read).concat()).expect("a certificate is written");
    let clients = if options.asks_clients() { "need" } else { "none" };
    // The other kind of connections, with NIO, knows no TLS.
    command
        .arg("-Dzookeeper.serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory")
        .arg(format!("-Dzookeeper.ssl.keyStore.location={}", both.display()))
        .arg(format!("-Dzookeeper.ssl.trustStore.location={}", tls.ca_path().display()))
        .arg(format!("-Dzookeeper.ssl.clientAuth={clients}"));
}

#[cfg(not(feature = "tls"))]
fn certificates(_: &mut Command, _: &TlsOptions, tls: &Tls, _: &Path) {
    match *tls {}
}

pub(crate) const DATA: &str = "data";
const CONFIGURATION: &str = "zoo.cfg";
#[cfg(feature = "tls")]
const CERTIFICATE_AND_KEY: &str = "server-both.pem";
const LOG_OF: &str = "-Dorg.slf4j.simpleLogger.log.org.apache.zookeeper.server";
const MAIN: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
const JAVA_ARCHIVES: &str = "/usr/share/java";
/// A log on the standard error, and what only TLS needs and ZooKeeper's archive does not name.
const JARS: [&str; 4] = ["zookeeper", "slf4j-simple", "netty-codec", "netty-resolver"];
