//! Without the feature `tls` nobody can ask for it.

use std::path::Path;

#[derive(Clone, Debug)]
pub(crate) enum TlsOptions {}

#[derive(Clone, Debug)]
pub(crate) enum Tls {}

impl TlsOptions {
    pub(crate) fn has_plain_port(&self) -> bool {
        match *self {}
    }
}

impl Tls {
    pub(crate) fn make(options: &TlsOptions, _: &Path) -> Self {
        match *options {}
    }

    pub(crate) fn configuration(&self) -> String {
        match *self {}
    }
}
