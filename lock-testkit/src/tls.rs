//! Certificates for one server.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// How a server's TLS is set up.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    plain_port: bool,
    expired: bool,
    wrong_host: bool,
    client_certificates: bool,
}

impl TlsOptions {
    pub(crate) fn has_plain_port(&self) -> bool {
        self.plain_port
    }

    #[cfg(any(feature = "etcd", feature = "zk"))]
    pub(crate) fn asks_clients(&self) -> bool {
        self.client_certificates
    }

    /// TLS only, with a good certificate for `localhost` and 127.0.0.1, and none asked of clients.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// It has a port without TLS too.
    #[must_use]
    pub fn plain_port(mut self) -> Self {
        self.plain_port = true;
        self
    }

    /// Its certificate ended yesterday.
    #[must_use]
    pub fn expired(mut self) -> Self {
        self.expired = true;
        self
    }

    /// Its certificate is for `elsewhere.test`.
    #[must_use]
    pub fn wrong_host(mut self) -> Self {
        self.wrong_host = true;
        self
    }

    /// Clients must show a certificate of the same authority.
    #[must_use]
    pub fn client_certificates(mut self) -> Self {
        self.client_certificates = true;
        self
    }
}

/// The certificates of one server, from an authority of its own.
#[derive(Clone, Debug)]
pub struct Tls {
    dir: PathBuf,
    client_certificates: bool,
}

impl Tls {
    pub(crate) fn make(options: &TlsOptions, dir: &Path) -> Self {
        let authority = authority();
        write(&dir.join(CA), &authority.pem());

        let host = if options.wrong_host { "elsewhere.test" } else { "localhost" };
        let mut names = vec![host.to_owned()];
        if !options.wrong_host {
            names.push("127.0.0.1".to_owned());
        }
        let mut server = leaf(host, names, ExtendedKeyUsagePurpose::ServerAuth);
        // A replica and the nodes of a cluster are clients of each other.
        server.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        if options.expired {
            server.not_before = OffsetDateTime::now_utc() - Duration::days(2);
            server.not_after = OffsetDateTime::now_utc() - Duration::days(1);
        }
        sign(&server, &authority, &dir.join(SERVER_CERT), &dir.join(SERVER_KEY));

        let client = leaf("client", Vec::new(), ExtendedKeyUsagePurpose::ClientAuth);
        sign(&client, &authority, &dir.join(CLIENT_CERT), &dir.join(CLIENT_KEY));
        Self { dir: dir.to_owned(), client_certificates: options.client_certificates }
    }

    /// The certificate of the authority, in PEM.
    pub fn ca_pem(&self) -> String {
        read(&self.ca_path())
    }

    /// Where the authority's certificate is.
    pub fn ca_path(&self) -> PathBuf {
        self.dir.join(CA)
    }

    /// Where the server's certificate is.
    pub fn server_cert_path(&self) -> PathBuf {
        self.dir.join(SERVER_CERT)
    }

    #[cfg(any(feature = "etcd", feature = "zk"))]
    pub(crate) fn server_key_path(&self) -> PathBuf {
        self.dir.join(SERVER_KEY)
    }

    /// A client's certificate, in PEM.
    pub fn client_cert_pem(&self) -> String {
        read(&self.client_cert_path())
    }

    /// Where the client's certificate is.
    pub fn client_cert_path(&self) -> PathBuf {
        self.dir.join(CLIENT_CERT)
    }

    /// The key of the client's certificate, in PEM.
    pub fn client_key_pem(&self) -> String {
        read(&self.client_key_path())
    }

    /// Where the key of the client's certificate is.
    pub fn client_key_path(&self) -> PathBuf {
        self.dir.join(CLIENT_KEY)
    }

    pub(crate) fn configuration(&self) -> String {
        let dir = self.dir.display();
        let clients = if self.client_certificates { "yes" } else { "no" };
        format!(
            "tls-cert-file {dir}/{SERVER_CERT}\ntls-key-file {dir}/{SERVER_KEY}\n\
             tls-ca-cert-file {dir}/{CA}\ntls-auth-clients {clients}\n"
        )
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // By a name of its own, it is not taken for the authority of another server.
    let name = format!("Leasehold test authority {:016x}", fastrand::u64(..));
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, key()).expect("the parameters are good")
}

fn leaf(name: &str, hosts: Vec<String>, usage: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = CertificateParams::new(hosts).expect("the names are good");
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    params
}

fn sign(
    params: &CertificateParams,
    authority: &CertifiedIssuer<'static, KeyPair>,
    cert_path: &Path,
    key_path: &Path,
) {
    let key = key();
    let cert = params.signed_by(&key, authority).expect("the parameters are good");
    write(cert_path, &cert.pem());
    write(key_path, &key.serialize_pem());
}

fn key() -> KeyPair {
    KeyPair::generate().expect("this machine has random numbers")
}

fn write(path: &Path, pem: &str) {
    fs::write(path, pem).expect("a certificate is written");
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("the certificates live as long as the server")
}

const CA: &str = "ca.pem";
const SERVER_CERT: &str = "server.pem";
const SERVER_KEY: &str = "server-key.pem";
const CLIENT_CERT: &str = "client.pem";
const CLIENT_KEY: &str = "client-key.pem";
