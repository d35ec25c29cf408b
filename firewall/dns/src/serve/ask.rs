//! One question to a resolver, from a socket of its own: the kernel draws its port and lets nobody in but the resolver.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::Heard;
use crate::endpoint::Endpoint;
use crate::proxy::Ask;

/// The largest datagram that is taken; what is longer comes over TCP.
const DATAGRAM_MAX: usize = 8192;

/// Sends it in a datagram, and hears until it is ended.
pub(super) async fn in_datagrams(ask: Ask, resolver: Endpoint, bytes: Vec<u8>, hear: mpsc::Sender<Heard>) {
    let hearing = async {
        let socket = resolver.ask_in_datagrams()?;
        socket.send(&bytes).await?;
        let mut buffer = vec![0; DATAGRAM_MAX];
        loop {
            let length = socket.recv(&mut buffer).await?;
            let reply = buffer.get(..length).unwrap_or_default().to_vec();
            if hear.send(Heard::Reply(ask, reply)).await.is_err() {
                return Ok(());
            }
        }
    };
    failed(ask, &resolver, hearing.await, &hear).await;
}

/// Sends it over a connection, and hears one reply.
pub(super) async fn in_a_connection(ask: Ask, resolver: Endpoint, bytes: Vec<u8>, hear: mpsc::Sender<Heard>) {
    let hearing = async {
        let mut stream = resolver.ask_in_a_connection().await?;
        stream.write_all(&framed(&bytes)).await?;
        let length = stream.read_u16().await?;
        let mut reply = vec![0; length.into()];
        stream.read_exact(&mut reply).await?;
        let _ = hear.send(Heard::Reply(ask, reply)).await;
        Ok(())
    };
    failed(ask, &resolver, hearing.await, &hear).await;
}

async fn failed(ask: Ask, resolver: &Endpoint, hearing: std::io::Result<()>, hear: &mpsc::Sender<Heard>) {
    if let Err(error) = hearing {
        tracing::debug!(%resolver, %error, "a resolver can't be asked");
        let _ = hear.send(Heard::Failed(ask)).await;
    }
}

/// A message with its length in front (RFC 1035 §4.2.2).
pub(super) fn framed(bytes: &[u8]) -> Vec<u8> {
    // longer ones are not made: they come from a message that had room
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), bytes.get(..length.into()).unwrap_or_default()].concat()
}
