//! A fake network between a process and a server on loopback: it can be cut, after which everything is silent in both directions, as behind a dead switch.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks whether it was cut or ended.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Default)]
struct State {
    cut: AtomicBool,
    ended: AtomicBool,
}

/// Passes connections on, for as long as it is not cut.
pub struct FakeNetwork {
    port: u16,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl FakeNetwork {
    /// To this port of loopback.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let state = Arc::new(State::default());
        let own = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn({
            let state = Arc::clone(&state);
            move || accept(&listener, port, &state)
        });
        Self { port: own, state, thread: Some(thread) }
    }

    /// Where it is.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts it, or mends it. What was on its way comes late then.
    pub fn cut(&self, cut: bool) {
        self.state.cut.store(cut, Ordering::SeqCst);
    }
}

impl Drop for FakeNetwork {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, port: u16, state: &Arc<State>) {
    let mut threads = Vec::new();
    while !state.ended.load(Ordering::SeqCst) {
        // one that is cut lets nobody in
        let near = if state.cut.load(Ordering::SeqCst) { None } else { listener.accept().ok() };
        let Some((near, _)) = near else {
            std::thread::sleep(LOOK);
            continue;
        };
        let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
        for (from, to) in [(near.try_clone(), far.try_clone()), (Ok(far), Ok(near))] {
            let (Ok(from), Ok(to)) = (from, to) else { continue };
            let state = Arc::clone(state);
            threads.push(std::thread::spawn(move || pass(from, to, &state)));
        }
    }
    for thread in threads {
        let _ = thread.join();
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, state: &State) {
    let _ = from.set_nonblocking(false);
    let _ = from.set_read_timeout(Some(LOOK));
    let mut buffer = vec![0; 64 << 10];
    while !state.ended.load(Ordering::SeqCst) {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => break,
        };
        while state.cut.load(Ordering::SeqCst) && !state.ended.load(Ordering::SeqCst) {
            std::thread::sleep(LOOK);
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
