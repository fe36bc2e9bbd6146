//! Ports that no other test takes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};

/// A port of 127.0.0.1 that belongs to this value until it is dropped, even while nobody listens
/// there: a server that is down keeps its port.
///
/// It is below the range from which the kernel gives ports to outgoing connections, so none of
/// those takes it, and a socket in the abstract namespace claims it among all test processes of
/// this machine. The kernel drops the claim with the process. A program that is no test may still
/// take the port: whoever starts a server on it must look whether it could listen.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _claim: UnixListener,
}

impl Port {
    /// Claims a free port.
    ///
    /// # Panics
    ///
    /// When a thousand random ports were all taken.
    pub fn claim() -> Self {
        for _ in 0..ATTEMPTS {
            let number = fastrand::u16(LOWEST..HIGHEST);
            let name = format!("leasehold-port-{number}");
            let claim = UnixAddr::from_abstract_name(name.as_bytes())
                .and_then(|address| UnixListener::bind_addr(&address));
            if let Ok(claim) = claim
                && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
            {
                return Self { number, _claim: claim };
            }
        }
        panic!("no free port of 127.0.0.1 between {LOWEST} and {HIGHEST}");
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Its address on 127.0.0.1.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

const ATTEMPTS: usize = 1000;
const LOWEST: u16 = 12_000;
// Linux gives ports from 32768 on to outgoing connections.
const HIGHEST: u16 = 32_000;
