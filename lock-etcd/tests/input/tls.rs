//! TLS, as it should be and as it should not.

use lock_etcd::{EtcdConfig, EtcdTls};
use lock_testkit::{Etcd, EtcdVersion, Permission, TlsOptions};
use lockcore::ErrorKind::{InvalidConfig, Unauthorized, Unavailable};

use super::{CANARY, connect, fails, on_both, queue, quick, says, server, turn};

#[tokio::test]
async fn a_lock_is_handed_over_by_tls() {
    on_both(async |version| {
        let server = quick(version).tls(TlsOptions::new()).start().await;
        is_handed_over(EtcdConfig::new([("localhost", server.port())]).tls(trusting(&server)))
            .await;
        is_handed_over(EtcdConfig::new([("127.0.0.1", server.port())]).tls(trusting(&server)))
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_user_logs_in_by_tls() {
    let rights = [("leasehold/", Permission::ReadWrite)];
    let options = quick(EtcdVersion::V3_7).tls(TlsOptions::new());
    let server = options.user("worker", CANARY, &rights).start().await;
    let config = || EtcdConfig::new([("localhost", server.port())]).tls(trusting(&server));
    is_handed_over(config().login("worker", CANARY)).await;
    let error = fails("no user", config().connect()).await;
    says(&error, Unauthorized, &["connect", "wants a user"]);
}

/// Its common name is the user's.
#[tokio::test]
async fn a_client_certificate_is_a_login() {
    let rights = [("leasehold/", Permission::ReadWrite)];
    let options = quick(EtcdVersion::V3_7).tls(TlsOptions::new().client_certificates());
    let server = options.user("client", CANARY, &rights).start().await;
    let own = server.tls().unwrap();
    let tls = trusting(&server).client(own.client_cert_pem(), own.client_key_pem());
    let config = || EtcdConfig::new([("localhost", server.port())]).tls(tls.clone());
    is_handed_over(config()).await;
    // What it may not is refused by name, as with a password.
    let error = fails("another prefix", config().prefix("shop").unwrap().connect()).await;
    says(&error, Unauthorized, &["connect", "`PREFIX/`"]);
}

#[tokio::test]
async fn a_lock_is_handed_over_by_mutual_tls() {
    on_both(async |version| {
        let server = quick(version).tls(TlsOptions::new().client_certificates()).start().await;
        let own = server.tls().unwrap();
        let tls = trusting(&server).client(own.client_cert_pem(), own.client_key_pem());
        is_handed_over(EtcdConfig::new([("localhost", server.port())]).tls(tls)).await;
        let error = refused(&server, trusting(&server)).await;
        says(&error, Unavailable, &["connect", "TLS", "certificate of its clients", "tls_cert"]);
    })
    .await;
}

#[tokio::test]
async fn a_client_certificate_of_another_authority_is_refused() {
    let (server, other) =
        tokio::join!(with(TlsOptions::new().client_certificates()), with(TlsOptions::new()));
    let other = other.tls().unwrap();
    let tls = trusting(&server).client(other.client_cert_pem(), other.client_key_pem());
    let error = refused(&server, tls).await;
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
    on_both(async |version| {
        let server = quick(version).tls(TlsOptions::new()).start().await;
        let config = EtcdConfig::new([("localhost", server.port())]);
        for config in [config.clone(), config.login("worker", CANARY)] {
            let error = fails("no TLS", config.connect()).await;
            says(&error, Unavailable, &["connect", "TLS", "etcds://"]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let (server, other) = tokio::join!(with(TlsOptions::new()), with(TlsOptions::new()));
    let error = refused(&server, trusting(&other)).await;
    says(&error, Unavailable, &["connect", "TLS", "authority", "tls_ca"]);
    // The authorities of the system know nothing of it either.
    let error = refused(&server, EtcdTls::new()).await;
    says(&error, Unavailable, &["connect", "TLS", "authority", "tls_ca"]);
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
    let own = server.tls().unwrap();
    let good = (own.client_cert_pem(), own.client_key_pem());
    let headed = format!("-----BEGIN CERTIFICATE-----\n{CANARY}\n-----END CERTIFICATE-----\n");
    let cases = [
        EtcdTls::new().ca(CANARY),
        EtcdTls::new().ca(headed.as_str()),
        EtcdTls::new().ca(""),
        trusting(&server).client(CANARY, CANARY),
        trusting(&server).client(good.0.as_str(), CANARY),
        trusting(&server).client(CANARY, good.1.as_str()),
        trusting(&server).client(headed.as_str(), good.1.as_str()),
        // The wrong way round.
        trusting(&server).client(good.1.as_str(), good.0.as_str()),
    ];
    for (number, tls) in cases.into_iter().enumerate() {
        let config = EtcdConfig::new([("localhost", server.port())]).login("worker", CANARY);
        let error = fails(&format!("case {number}"), config.tls(tls).connect()).await;
        says(&error, InvalidConfig, &["connect", "certificate", "PEM"]);
    }
}

async fn with(tls: TlsOptions) -> Etcd {
    quick(EtcdVersion::V3_7).tls(tls).start().await
}

fn trusting(server: &Etcd) -> EtcdTls {
    EtcdTls::new().ca(server.tls().unwrap().ca_pem())
}

async fn refused(server: &Etcd, tls: EtcdTls) -> lockcore::Error {
    let config = EtcdConfig::new([("localhost", server.port())]).tls(tls);
    // With a login the first request is another one.
    let error = fails("TLS that cannot be", config.clone().login("worker", CANARY).connect()).await;
    let other = fails("TLS that cannot be", config.connect()).await;
    assert_eq!((error.kind(), error.message()), (other.kind(), other.message()));
    error
}

async fn is_handed_over(config: EtcdConfig) {
    let (holder, waiter) = (connect(config.clone()).await, connect(config).await);
    let held = holder.mutex("tls").unwrap().lock().await.unwrap();
    let token = held.token();
    let queued = queue(&waiter, "tls").await;
    held.release().await.unwrap();
    let next = turn("the waiter's turn", queued).await;
    assert!(next.token() > token);
    next.release().await.unwrap();
}
