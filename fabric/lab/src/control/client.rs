//! The host's side of the control channel.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::Duration;

use super::frame::Frame;
use super::{Ending, Request, Terminal};
use crate::error::{LabError, Result};

/// How long the forwarded port may take to accept: QEMU does so at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The way to one virtual machine.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    port: u16,
    token: String,
}

impl Client {
    pub(crate) fn new(port: u16, token: String) -> Self {
        Self { port, token }
    }

    /// Runs a command, connected to this process's own standard input, output and errors, and returns its exit status.
    pub(crate) fn run(&self, argv: &[&str], environment: &BTreeMap<String, String>, terminal: Terminal) -> Result<i32> {
        let lost = |source: io::Error| LabError::Protocol { what: source.to_string() };
        let address = (Ipv4Addr::LOCALHOST, self.port).into();
        let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        let request = Request {
            token: self.token.clone(),
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            environment: environment.clone(),
            terminal,
        };
        let json = serde_json::to_vec(&request).map_err(|error| lost(error.into()))?;
        Frame::Request(json).write(&mut stream).map_err(lost)?;
        let input = stream.try_clone().map_err(lost)?;
        // Not joined: it sits in a read of our own standard input, which nothing can interrupt. It ends with the process.
        thread::spawn(move || send_input(input));
        let ending = receive(&mut stream, &mut io::stdout(), &mut io::stderr());
        match ending.map_err(lost)? {
            Some(Ending::Status(status)) => Ok(status),
            Some(Ending::Refused(why)) => Err(LabError::Protocol { what: why }),
            None => Err(LabError::Protocol { what: "the machine closed the connection before the command ended".to_owned() }),
        }
    }
}

fn receive(stream: &mut TcpStream, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<Option<Ending>> {
    while let Some(frame) = Frame::read(stream)? {
        match frame {
            Frame::Output(bytes) => output.write_all(&bytes).and_then(|()| output.flush())?,
            Frame::Error(bytes) => errors.write_all(&bytes).and_then(|()| errors.flush())?,
            Frame::Ending(json) => return Ok(Some(serde_json::from_slice(&json)?)),
            Frame::Request(_) | Frame::Input(_) => return Err(io::Error::other("the guest sent what only a client sends")),
        }
    }
    Ok(None)
}

fn send_input(mut stream: TcpStream) {
    let mut buffer = vec![0; 4096];
    loop {
        let count = io::stdin().read(&mut buffer).unwrap_or(0);
        if Frame::Input(buffer[..count].to_vec()).write(&mut stream).is_err() || count == 0 {
            return;
        }
    }
}
