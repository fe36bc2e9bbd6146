//! TLS, as it should be and as it should not.

use lock_conformance::time::soon;
use lock_redis::{RedisConfig, RedisTls};
use lock_testkit::{Flavour, Redis, RedisOptions, TlsOptions};
use lockcore::ErrorKind::{InvalidConfig, Unavailable};

use super::{CANARY, connect, fails, says, server, waiting};

#[tokio::test]
async fn a_lock_is_handed_over_by_tls() {
    let server = with(TlsOptions::new()).await;
    is_handed_over(&server, trusting(&server)).await;
}

#[tokio::test]
async fn a_lock_is_handed_over_by_mutual_tls() {
    let server = with(TlsOptions::new().client_certificates()).await;
    let own = server.tls().unwrap();
    let tls = trusting(&server).client(own.client_cert_pem(), own.client_key_pem());
    is_handed_over(&server, tls).await;
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_is_told() {
    let server = with(TlsOptions::new().client_certificates()).await;
    let error = refused(&server, trusting(&server)).await;
    says(&error, Unavailable, &["connect", "TLS", "certificate of its clients"]);
}

#[tokio::test]
async fn tls_to_a_plain_port_is_told() {
    let (server, other) = (server().await, with(TlsOptions::new()).await);
    let error = refused(&server, trusting(&other)).await;
    says(&error, Unavailable, &["connect", "TLS", "port"]);
}

#[tokio::test]
async fn a_plain_client_at_a_tls_port_is_told() {
    let server = with(TlsOptions::new()).await;
    let config = RedisConfig::single("localhost", server.port()).login(None, CANARY);
    let error = fails("no TLS", config.connect()).await;
    says(&error, Unavailable, &["connect", "TLS", "rediss://"]);
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let (server, other) = tokio::join!(with(TlsOptions::new()), with(TlsOptions::new()));
    let error = refused(&server, trusting(&other)).await;
    says(&error, Unavailable, &["connect", "TLS", "authority"]);
    // The authorities of the system know nothing of it either.
    let error = refused(&server, RedisTls::new()).await;
    says(&error, Unavailable, &["connect", "TLS", "authority"]);
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let server = with(TlsOptions::new().wrong_host()).await;
    let error = refused(&server, trusting(&server)).await;
    says(&error, Unavailable, &["connect", "TLS", "certificate", "another host"]);
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let server = with(TlsOptions::new().expired()).await;
    let error = refused(&server, trusting(&server)).await;
    says(&error, Unavailable, &["connect", "TLS", "certificate", "expired"]);
}

#[tokio::test]
async fn certificates_that_are_none_are_refused_by_name() {
    let server = with(TlsOptions::new()).await;
    let error = refused(&server, RedisTls::new().ca(CANARY)).await;
    says(&error, InvalidConfig, &["connect", "certificate"]);
    let error = refused(&server, trusting(&server).client(CANARY, CANARY)).await;
    says(&error, InvalidConfig, &["connect", "certificate"]);
}

async fn with(tls: TlsOptions) -> Redis {
    RedisOptions::new(Flavour::Redis).tls(tls).start().await
}

fn trusting(server: &Redis) -> RedisTls {
    RedisTls::new().ca(server.tls().unwrap().ca_pem())
}

async fn refused(server: &Redis, tls: RedisTls) -> lockcore::Error {
    let config = RedisConfig::single("localhost", server.port()).login(None, CANARY).tls(tls);
    fails("TLS that cannot be", config.connect()).await
}

async fn is_handed_over(server: &Redis, tls: RedisTls) {
    let config = RedisConfig::single("localhost", server.port()).tls(tls);
    let (holder, waiter) = (connect(config.clone()).await, connect(config).await);
    let held = holder.mutex("tls").unwrap().lock().await.unwrap();
    let token = held.token();
    let mutex = waiter.mutex("tls").unwrap();
    let queued = tokio::spawn(async move { mutex.lock().await });
    waiting(&holder, "tls", 1).await;
    held.release().await.unwrap();
    let next = soon("the waiter's turn", queued).await.unwrap().unwrap();
    assert!(next.token() > token);
    next.release().await.unwrap();
}
