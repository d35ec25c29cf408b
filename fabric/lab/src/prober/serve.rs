//! The prober's process: orders on standard input, reports on standard output, listeners in between.

use std::io::{self, BufRead, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use leafwall_topology::IfName;
use socket2::{Domain, SockAddr, Socket, Type};

use super::capture::{self, Store};
use super::sender::Sender;
use super::stream::Streams;
use super::{Order, Report, packet};
use crate::error::{LabError, Result};

/// How long a listener waits for a client's words.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// How many connections wait to be taken.
const BACKLOG: i32 = 512;

/// Serves until standard input ends.
pub(crate) fn run() -> Result<()> {
    let store = Store::default();
    capture::start(&store).map_err(LabError::system("open raw sockets"))?;
    let mut sender = Sender::default();
    let mut streams: Option<Streams> = None;
    for line in io::stdin().lock().lines() {
        let line = line.map_err(LabError::system("read orders"))?;
        let order =
            serde_json::from_str(&line).map_err(|error| LabError::Protocol { what: format!("an order that does not parse: {error}") })?;
        let report = match order {
            Order::Listen { tcp, udp, at } => match listen_all(&tcp, &udp, &at) {
                Ok(()) => Report::Ready,
                Err(error) => Report::Failed(error.to_string()),
            },
            Order::Round(probes) => Report::Round(sender.round(&probes, &store)),
            Order::Collect => Report::Arrivals(store.take_arrivals()),
            Order::Stream { probes, interval_ms } => {
                streams = Some(Streams::start(probes, Duration::from_millis(interval_ms.into()), &store));
                continue;
            }
            Order::Stop => Report::Streams(streams.take().map(Streams::stop).unwrap_or_default()),
        };
        let json = serde_json::to_string(&report).map_err(|error| LabError::Protocol { what: error.to_string() })?;
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{json}").and_then(|()| stdout.flush()).map_err(LabError::system("write a report"))?;
    }
    Ok(())
}

fn listen_all(tcp: &[u16], udp: &[u16], at: &[(Option<IfName>, Vec<IpAddr>)]) -> io::Result<()> {
    for (vrf, addresses) in at {
        for any in [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)] {
            for &port in tcp {
                let listener = TcpListener::from(bound(Type::STREAM, SocketAddr::new(any, port), vrf.as_ref())?);
                thread::spawn(move || {
                    for stream in listener.incoming().flatten() {
                        thread::spawn(move || converse(stream));
                    }
                });
            }
        }
        // One per address, so that an answer comes from the address that was asked.
        for (&address, &port) in addresses.iter().flat_map(|address| udp.iter().map(move |port| (address, port))) {
            let socket = UdpSocket::from(bound(Type::DGRAM, SocketAddr::new(address, port), vrf.as_ref())?);
            thread::spawn(move || answer(&socket));
        }
    }
    Ok(())
}

fn bound(kind: Type, to: SocketAddr, vrf: Option<&IfName>) -> io::Result<Socket> {
    let socket = Socket::new(if to.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 }, kind, None)?;
    // An address may come later, or be looked at for duplicates still.
    if to.is_ipv4() {
        socket.set_freebind_v4(true)?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_freebind_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    if let Some(vrf) = vrf {
        socket.bind_device(Some(vrf.as_str().as_bytes()))?;
    }
    socket.bind(&SockAddr::from(to))?;
    if kind == Type::STREAM {
        socket.listen(BACKLOG)?;
    }
    Ok(socket)
}

fn converse(mut stream: TcpStream) {
    let mut question = [0; 8];
    let read = stream.set_read_timeout(Some(READ_TIMEOUT)).and_then(|()| stream.read_exact(&mut question));
    if let Some(answer) = read.ok().and_then(|()| packet::answer_to(&question)) {
        let _ = stream.write_all(&answer);
    }
}

fn answer(socket: &UdpSocket) {
    let mut buffer = [0; 64];
    loop {
        // An ICMP error for an earlier answer comes back here: nothing to do about it.
        let Ok((count, from)) = socket.recv_from(&mut buffer) else { continue };
        if let Some(answer) = packet::answer_to(&buffer[..count]) {
            let _ = socket.send_to(&answer, from);
        }
    }
}
