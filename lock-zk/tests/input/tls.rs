//! TLS, as it should be and as it should not.

use std::time::Duration;

use lock_conformance::time::scaled;
use lock_testkit::{TlsOptions, Zk};
use lock_zk::{ZkConfig, ZkTls};
use lockcore::Error;
use lockcore::ErrorKind::{InvalidConfig, Unavailable};

use super::{CANARY, Stage, connect, fails_within, queue, says, turn};

#[tokio::test]
async fn a_lock_is_handed_over_by_tls_with_and_without_a_login() {
    let server = with(TlsOptions::new()).await;
    for host in ["localhost", "127.0.0.1"] {
        let config = at(&server, host).tls(trusting(&server));
        is_handed_over(config.clone()).await;
        is_handed_over(config.prefix("own").unwrap().login("worker", CANARY)).await;
    }
    // One without it is told.
    let config = at(&server, "localhost");
    for config in [config.clone(), config.login("worker", CANARY)] {
        let error = told(config).await;
        says(&error, Unavailable, &["connect", "without TLS", "zks://"]);
    }
    // So is one who trusts others, as the system does.
    let other = with(TlsOptions::new()).await;
    for tls in [trusting(&other), ZkTls::new()] {
        says(&refused(&server, tls).await, Unavailable, &["connect", "tls_ca", "authority"]);
    }
}

#[tokio::test]
async fn a_lock_is_handed_over_by_mutual_tls() {
    let (server, other) = tokio::join!(
        with(TlsOptions::new().client_certificates()),
        with(TlsOptions::new().client_certificates())
    );
    let own = server.tls().unwrap();
    let tls = trusting(&server).client(own.client_cert_pem(), own.client_key_pem());
    is_handed_over(at(&server, "localhost").tls(tls)).await;
    let none = refused(&server, trusting(&server)).await;
    says(&none, Unavailable, &["connect", "certificate of ours", "tls_cert"]);
    let other = other.tls().unwrap();
    let tls = trusting(&server).client(other.client_cert_pem(), other.client_key_pem());
    says(&refused(&server, tls).await, Unavailable, &["connect", "certificate of ours"]);
}

#[tokio::test]
async fn tls_to_a_plain_port_is_told() {
    let (stage, other) = (Stage::new().await, with(TlsOptions::new()).await);
    let error = refused(&stage.server, trusting(&other)).await;
    says(&error, Unavailable, &["connect", "TLS port", "secureClientPort"]);
}

#[tokio::test]
async fn certificates_for_another_host_and_old_ones_are_refused() {
    let (elsewhere, old) =
        tokio::join!(with(TlsOptions::new().wrong_host()), with(TlsOptions::new().expired()));
    for server in [elsewhere, old] {
        let error = refused(&server, trusting(&server)).await;
        says(&error, Unavailable, &["connect", "is that valid for this host"]);
    }
}

#[tokio::test]
async fn certificates_that_are_none_are_refused_by_name() {
    let server = with(TlsOptions::new()).await;
    let own = server.tls().unwrap();
    let good = (own.client_cert_pem(), own.client_key_pem());
    let headed = format!("-----BEGIN CERTIFICATE-----\n{CANARY}\n-----END CERTIFICATE-----\n");
    let cases = [
        ZkTls::new().ca(CANARY),
        ZkTls::new().ca(headed.as_str()),
        ZkTls::new().ca(""),
        ZkTls::new().ca([0xff, 0xfe]),
        trusting(&server).client(CANARY, CANARY),
        trusting(&server).client(good.0.as_str(), CANARY),
        trusting(&server).client(CANARY, good.1.as_str()),
        trusting(&server).client(headed.as_str(), good.1.as_str()),
        // The wrong way round.
        trusting(&server).client(good.1.as_str(), good.0.as_str()),
    ];
    for (number, tls) in cases.into_iter().enumerate() {
        let config = at(&server, "localhost").login("worker", CANARY);
        let what = format!("case {number}");
        let error = super::fails(&what, config.tls(tls).connect()).await;
        says(&error, InvalidConfig, &["connect", "tls_", "PEM"]);
    }
}

async fn with(tls: TlsOptions) -> Zk {
    Zk::options().tls(tls).start().await
}

/// A Java that is cold takes its time for the first handshakes.
fn at(server: &Zk, host: &str) -> ZkConfig {
    let config = ZkConfig::new([(host, server.port())]);
    config.request_timeout(scaled(Duration::from_secs(5))).unwrap()
}

fn trusting(server: &Zk) -> ZkTls {
    ZkTls::new().ca(server.tls().unwrap().ca_pem())
}

async fn refused(server: &Zk, tls: ZkTls) -> Error {
    told(at(server, "localhost").login("worker", CANARY).tls(tls)).await
}

async fn told(config: ZkConfig) -> Error {
    // It is tried for as long as two requests may take.
    let config = config.request_timeout(scaled(Duration::from_secs(1))).unwrap();
    let limit = Duration::from_secs(5);
    fails_within(limit, "TLS that cannot be", config.connect()).await
}

async fn is_handed_over(config: ZkConfig) {
    let (holder, waiter) = (connect(config.clone()).await, connect(config).await);
    let held = holder.mutex("tls").unwrap().lock().await.unwrap();
    let token = held.token();
    let queued = queue(&waiter, "tls").await;
    held.release().await.unwrap();
    let next = turn("the waiter's turn", queued).await;
    assert!(next.token() > token);
    next.release().await.unwrap();
}
