//! Servers with TLS.
