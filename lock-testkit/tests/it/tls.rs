//! Servers with TLS, seen by a client that checks everything.

use std::io;
use std::sync::Arc;

use lock_testkit::{Flavour, Redis, RedisOptions, Resp, Tls, TlsOptions, Value};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

#[tokio::test]
async fn a_good_certificate_is_trusted() {
    let server = start(TlsOptions::new()).await;
    assert_eq!(server.url(), format!("rediss://localhost:{}", server.port()));
    assert_eq!(server.plain_addr(), None);
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(ping(&server, host, false).await.unwrap().as_str(), Some("PONG"));
    }
    // From outside it is seen nevertheless, and without TLS it is not spoken to.
    assert_eq!(server.resp().await.command(&["PING"]).await.as_str(), Some("PONG"));
    assert!(Resp::connect(server.addr()).await.try_command(&["PING"]).await.is_err());

    server.restart().await;
    ping(&server, "localhost", false).await.unwrap();
}

#[tokio::test]
async fn another_authority_is_not_trusted() {
    let server = start(TlsOptions::new()).await;
    let other = start(TlsOptions::new()).await;
    let config = config(other.tls().unwrap(), false);
    let error = ping_with(&server, "localhost", config).await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn a_plain_port_is_an_option() {
    let server = start(TlsOptions::new().plain_port()).await;
    let plain = server.plain_addr().unwrap();
    assert_ne!(plain, server.addr());
    assert_eq!(Resp::connect(plain).await.command(&["PING"]).await.as_str(), Some("PONG"));
    ping(&server, "localhost", false).await.unwrap();
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let server = start(TlsOptions::new().expired()).await;
    let error = ping(&server, "localhost", false).await.unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let server = start(TlsOptions::new().wrong_host()).await;
    for host in ["localhost", "127.0.0.1"] {
        let error = ping(&server, host, false).await.unwrap_err();
        assert!(error.to_string().contains("not valid for name"), "{error}");
    }
    ping(&server, "elsewhere.test", false).await.unwrap();
}

#[tokio::test]
async fn a_client_certificate_can_be_required() {
    let server = start(TlsOptions::new().client_certificates()).await;
    assert!(ping(&server, "localhost", false).await.is_err());
    assert_eq!(ping(&server, "localhost", true).await.unwrap().as_str(), Some("PONG"));
}

async fn start(tls: TlsOptions) -> Redis {
    RedisOptions::new(Flavour::Redis).tls(tls).start().await
}

async fn ping(server: &Redis, host: &'static str, certificate: bool) -> io::Result<Value> {
    ping_with(server, host, config(server.tls().unwrap(), certificate)).await
}

async fn ping_with(server: &Redis, host: &'static str, config: ClientConfig) -> io::Result<Value> {
    let stream = TcpStream::connect(server.addr()).await?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(ServerName::try_from(host).unwrap(), stream).await?;
    Resp::over(stream).try_command(&["PING"]).await
}

fn config(tls: &Tls, certificate: bool) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(tls.ca_pem().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    if !certificate {
        return builder.with_no_client_auth();
    }
    let cert = CertificateDer::from_pem_slice(tls.client_cert_pem().as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(tls.client_key_pem().as_bytes()).unwrap();
    builder.with_client_auth_cert(vec![cert], key).unwrap()
}
