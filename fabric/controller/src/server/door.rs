//! The door for strangers: so many at once, and none of them for long.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Strangers at once: more racks than are switched on together, and some MiB of buffers. Others wait in the kernel's queue.
const ROOM: usize = 256;
/// How long one may stay: enrolling takes a round trip or three, and a write to the disk.
pub const VISIT: Duration = Duration::from_secs(20);
/// After an error of the listener, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Somebody who came in; gives their place back when they leave.
pub struct Visitor {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

/// Those who come in.
pub fn visitors(listener: TcpListener) -> ReceiverStream<io::Result<Visitor>> {
    let (send, visitors) = mpsc::channel(1);
    let room = Arc::new(Semaphore::new(ROOM));
    tokio::spawn(async move {
        while let Ok(place) = Arc::clone(&room).acquire_owned().await {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = send.closed() => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    if send.send(Ok(Visitor { stream, _place: place })).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "nobody can come in to enrol");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    });
    ReceiverStream::new(visitors)
}

impl Connected for Visitor {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Visitor {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Visitor {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
