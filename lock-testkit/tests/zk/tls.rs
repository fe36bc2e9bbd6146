//! Servers with TLS, seen by a client that checks everything.

use std::io;
use std::sync::Arc;

use lock_testkit::{Tls, TlsOptions, Zk, ZkClient, ZkMode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::LONG;

#[tokio::test]
async fn a_good_certificate_is_trusted() {
    let server = start(TlsOptions::new()).await;
    assert_eq!(server.connect_string(), format!("localhost:{}", server.port()));
    assert_eq!(server.plain_addr(), None);
    for host in ["localhost", "127.0.0.1"] {
        ask(&server, host, false).await.unwrap();
    }
    // From outside it is seen nevertheless, and without TLS it is not spoken to.
    server.create("/a", "", ZkMode::Persistent).await;
    assert_eq!(server.tree("/").await, ["/a"]);
    assert!(ZkClient::connect(server.addr(), LONG).await.is_err());

    server.restart().await;
    ask(&server, "localhost", false).await.unwrap();

    let other = start(TlsOptions::new()).await;
    let error = ask_with(&server, "localhost", other.tls().unwrap(), false).await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn bad_certificates_are_refused() {
    let expired = start(TlsOptions::new().expired()).await;
    let error = ask(&expired, "localhost", false).await.unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
    let elsewhere = start(TlsOptions::new().wrong_host()).await;
    let error = ask(&elsewhere, "localhost", false).await.unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

#[tokio::test]
async fn a_client_certificate_can_be_required() {
    let server = start(TlsOptions::new().client_certificates()).await;
    assert!(ask(&server, "localhost", false).await.is_err());
    ask(&server, "localhost", true).await.unwrap();
    server.create("/a", "", ZkMode::Persistent).await;
}

#[tokio::test]
async fn a_plain_port_is_an_option() {
    let server = start(TlsOptions::new().plain_port()).await;
    let mut plain = TcpStream::connect(server.plain_addr().unwrap()).await.unwrap();
    assert_eq!(ruok(&mut plain).await.unwrap(), "imok");
    ask(&server, "localhost", false).await.unwrap();
}

async fn start(tls: TlsOptions) -> Zk {
    Zk::options().tls(tls).start().await
}

async fn ask(server: &Zk, host: &'static str, certificate: bool) -> io::Result<()> {
    ask_with(server, host, server.tls().unwrap(), certificate).await
}

async fn ask_with(server: &Zk, host: &'static str, tls: &Tls, certificate: bool) -> io::Result<()> {
    let stream = TcpStream::connect(server.addr()).await?;
    let connector = TlsConnector::from(Arc::new(config(tls, certificate)));
    let mut stream = connector.connect(ServerName::try_from(host).unwrap(), stream).await?;
    assert_eq!(ruok(&mut stream).await?, "imok");
    Ok(())
}

async fn ruok(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) -> io::Result<String> {
    stream.write_all(b"ruok").await?;
    let mut reply = vec![0; 4];
    stream.read_exact(&mut reply).await?;
    Ok(String::from_utf8(reply).unwrap())
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
