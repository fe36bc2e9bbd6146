//! Servers with TLS, seen by a client that checks everything.

use std::io;
use std::sync::Arc;

use lock_testkit::{Etcd, EtcdCluster, EtcdVersion, Tls, TlsOptions};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::VERSIONS;
use crate::http::post;

#[tokio::test]
async fn a_good_certificate_is_trusted() {
    for version in VERSIONS {
        let server = start(version, TlsOptions::new()).await;
        assert_eq!(server.url(), format!("etcds://localhost:{}", server.port()));
        assert_eq!(server.plain_addr(), None);
        for host in ["localhost", "127.0.0.1"] {
            ask(&server, host, false).await.unwrap();
        }
        // From outside it is seen nevertheless, and without TLS it is not spoken to.
        server.put("key", "").await;
        let mut plain = TcpStream::connect(server.addr()).await.unwrap();
        let reply = post(&mut plain, PATH, "{}", "}").await;
        assert!(reply.is_err(), "{reply:?}");

        server.restart().await;
        ask(&server, "localhost", false).await.unwrap();

        let other = start(version, TlsOptions::new()).await;
        let error = ask_with(&server, "localhost", other.tls().unwrap(), false).await.unwrap_err();
        assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    }
}

#[tokio::test]
async fn bad_certificates_are_refused() {
    for version in VERSIONS {
        let expired = start(version, TlsOptions::new().expired()).await;
        let error = ask(&expired, "localhost", false).await.unwrap_err();
        assert!(error.to_string().contains("expired"), "{error}");
        let elsewhere = start(version, TlsOptions::new().wrong_host()).await;
        let error = ask(&elsewhere, "localhost", false).await.unwrap_err();
        assert!(error.to_string().contains("not valid for name"), "{error}");
    }
}

#[tokio::test]
async fn a_client_certificate_can_be_required() {
    for version in VERSIONS {
        let server = start(version, TlsOptions::new().client_certificates()).await;
        assert!(ask(&server, "localhost", false).await.is_err());
        ask(&server, "localhost", true).await.unwrap();
        server.put("key", "").await;
    }
}

#[tokio::test]
async fn a_plain_port_is_an_option() {
    let server = start(EtcdVersion::V3_7, TlsOptions::new().plain_port()).await;
    let mut plain = TcpStream::connect(server.plain_addr().unwrap()).await.unwrap();
    post(&mut plain, PATH, "{}", "raftTerm").await.unwrap();
    ask(&server, "localhost", false).await.unwrap();
}

#[tokio::test]
async fn a_cluster_has_one_authority() {
    for version in VERSIONS {
        let options = Etcd::options(version).tls(TlsOptions::new());
        let cluster = EtcdCluster::start_with(options).await;
        let ports: Vec<_> = cluster.members().iter().map(Etcd::port).collect();
        let [a, b, c] = ports[..] else { panic!("there are three") };
        assert_eq!(cluster.url(), format!("etcds://localhost:{a},localhost:{b},localhost:{c}"));
        for member in cluster.members() {
            ask_with(member, "localhost", cluster.tls().unwrap(), false).await.unwrap();
        }
    }
}

async fn start(version: EtcdVersion, tls: TlsOptions) -> Etcd {
    Etcd::options(version).tls(tls).start().await
}

async fn ask(server: &Etcd, host: &'static str, certificate: bool) -> io::Result<()> {
    ask_with(server, host, server.tls().unwrap(), certificate).await
}

async fn ask_with(
    server: &Etcd,
    host: &'static str,
    tls: &Tls,
    certificate: bool,
) -> io::Result<()> {
    let stream = TcpStream::connect(server.addr()).await?;
    let connector = TlsConnector::from(Arc::new(config(tls, certificate)));
    let mut stream = connector.connect(ServerName::try_from(host).unwrap(), stream).await?;
    let reply = post(&mut stream, PATH, "{}", "raftTerm").await?;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    Ok(())
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

const PATH: &str = "/v3/maintenance/status";
