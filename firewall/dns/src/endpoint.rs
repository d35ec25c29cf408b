//! Where to listen, and whom to ask: an address, its port, and the VRF in which it is.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use leafwall_topology::IfName;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

/// DNS (RFC 1035 §4.2).
const PORT: u16 = 53;
/// Connections that wait to be taken.
const BACKLOG: i32 = 128;

/// `192.0.2.53`, `192.0.2.53:5353`, `[2001:db8::53]:53`, each with `%VRF` behind it where the address is in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where.
    pub address: SocketAddr,
    /// The device that stands for its VRF; `None` is the machine's own.
    pub device: Option<IfName>,
}

/// Text that is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not an address such as `192.0.2.53`, `[2001:db8::53]:5353` or `10.0.0.1%vrf100`")]
pub struct EndpointError {
    text: String,
}

impl From<IpAddr> for Endpoint {
    /// The usual port there, in no VRF.
    fn from(address: IpAddr) -> Self {
        Self { address: SocketAddr::new(address, PORT), device: None }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;
    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let error = || EndpointError { text: text.to_owned() };
        let (address, device) = match text.rsplit_once('%') {
            Some((address, device)) => (address, Some(device.parse().map_err(|_| error())?)),
            None => (text, None),
        };
        let plain = address.parse::<IpAddr>().map(Self::from);
        let plain = plain.or_else(|_| address.parse().map(|address| Self { address, device: None })).map_err(|_| error())?;
        Ok(Self { device, ..plain })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        self.device.iter().try_for_each(|device| write!(f, "%{device}"))
    }
}

impl Endpoint {
    fn socket(&self, kind: Type, protocol: Protocol) -> io::Result<Socket> {
        let domain = Domain::for_address(self.address);
        let socket = Socket::new(domain, kind, Some(protocol))?;
        if domain == Domain::IPV6 {
            socket.set_only_v6(true)?;
        }
        if let Some(device) = &self.device {
            socket.bind_device(Some(device.as_str().as_bytes()))?;
        }
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// A socket that takes datagrams here.
    pub(crate) fn datagrams(&self) -> io::Result<tokio::net::UdpSocket> {
        let socket = self.socket(Type::DGRAM, Protocol::UDP)?;
        socket.bind(&self.address.into())?;
        tokio::net::UdpSocket::from_std(socket.into())
    }

    /// A socket that takes connections here.
    pub(crate) fn connections(&self) -> io::Result<tokio::net::TcpListener> {
        let socket = self.socket(Type::STREAM, Protocol::TCP)?;
        // a restart must not wait for connections of the process before
        socket.set_reuse_address(true)?;
        socket.bind(&self.address.into())?;
        socket.listen(BACKLOG)?;
        tokio::net::TcpListener::from_std(socket.into())
    }

    /// A socket with a port of its own, drawn by the kernel, that hears nobody but this address.
    pub(crate) fn ask_in_datagrams(&self) -> io::Result<tokio::net::UdpSocket> {
        let socket = self.socket(Type::DGRAM, Protocol::UDP)?;
        socket.connect(&self.address.into())?;
        tokio::net::UdpSocket::from_std(socket.into())
    }

    /// A connection to it.
    pub(crate) async fn ask_in_a_connection(&self) -> io::Result<tokio::net::TcpStream> {
        let socket = self.socket(Type::STREAM, Protocol::TCP)?;
        tokio::net::TcpSocket::from_std_stream(socket.into()).connect(self.address).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_written_as_people_write_them() {
        for (text, shown) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5353%vrf100", "[2001:db8::53]:5353%vrf100"),
            ("10.0.0.1%vrf100", "10.0.0.1:53%vrf100"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
        for wrong in ["", "resolver", "192.0.2.53:0x35", "192.0.2.53%", "192.0.2.53%a name", "192.0.2.0/24"] {
            assert!(wrong.parse::<Endpoint>().is_err(), "{wrong}");
        }
    }
}
