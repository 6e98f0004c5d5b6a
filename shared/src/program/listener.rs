//! Taking an address.

use std::net::{SocketAddr, TcpListener};

use tokio::net::TcpSocket;

/// How many connections may wait to be accepted: a storm opens thousands at once.
const BACKLOG: u32 = 2_048;

/// An address that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address}: {source}; stop what listens there, or choose another address with --listen"
)]
pub struct ListenError {
    /// Which.
    address: SocketAddr,
    /// Why.
    source: std::io::Error,
}

/// Listens on `address`.
pub fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let listen = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    listen().map_err(|source| ListenError { address, source })
}
