//! Certificates, looked at before they are used.

use lockcore::options::Tls;
use lockcore::{Error, ErrorKind, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The crate `redis` takes what has no certificate in it for an empty list of authorities.
pub(super) fn check(tls: &Tls) -> Result<()> {
    let certificates = |pem: &[u8]| {
        let mut found = CertificateDer::pem_slice_iter(pem).peekable();
        found.peek().is_some() && found.all(|certificate| certificate.is_ok())
    };
    let bad = |what: &str| Err(Error::new(ErrorKind::InvalidConfig, format!("{what} in PEM")));
    if let Some(ca) = tls.authority()
        && !certificates(ca)
    {
        return bad("`tls_ca` is the certificate of an authority");
    }
    if let Some((certificate, key)) = tls.identity() {
        if !certificates(certificate) {
            return bad("`tls_cert` is the certificate of this client");
        }
        if PrivateKeyDer::from_pem_slice(key).is_err() {
            return bad("`tls_key` is the key of this client's certificate");
        }
    }
    Ok(())
}
