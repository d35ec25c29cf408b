//! A fake daemon for tests: a socket that answers as it is told. Nothing of FRR runs behind it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

/// One that listens until it is dropped.
pub struct FakeDaemon {
    socket: PathBuf,
    connections: Arc<Mutex<Vec<UnixStream>>>,
}

impl FakeDaemon {
    /// Listens at `dir/NAME.vty`. For each connection `session` makes what answers its commands with bytes.
    pub fn serve<A: FnMut(&str) -> Vec<u8> + Send + 'static>(dir: &Path, name: &str, session: impl Fn() -> A + Send + 'static) -> Self {
        let socket = dir.join(format!("{name}.vty"));
        let listener = UnixListener::bind(&socket).unwrap();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&connections);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                kept.lock().unwrap().push(stream.try_clone().unwrap());
                let mut answer = session();
                thread::spawn(move || {
                    let mut buffer = Vec::new();
                    let mut byte = [0];
                    while let Ok(1) = stream.read(&mut byte) {
                        if byte[0] != 0 {
                            buffer.push(byte[0]);
                            continue;
                        }
                        let command = String::from_utf8(std::mem::take(&mut buffer)).unwrap();
                        if stream.write_all(&answer(&command)).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { socket, connections }
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends all connections that there are.
    pub fn hang_up(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for FakeDaemon {
    fn drop(&mut self) {
        self.hang_up();
        let _ = std::fs::remove_file(&self.socket);
    }
}
