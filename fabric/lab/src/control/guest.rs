//! The guest's side: `leafwall lab guest`, which runs what clients with the token ask for.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process_group};

use super::frame::Frame;
use super::{Ending, GUEST_PORT, GUEST_WORK, Request, TOKEN_FILE, Terminal};
use crate::error::{LabError, Result};

/// Bytes read at a time from a command.
const CHUNK: usize = 32 * 1024;

/// Serves until the machine ends.
pub(crate) fn run() -> Result<()> {
    let path = Path::new(GUEST_WORK).join(TOKEN_FILE);
    let token: Arc<str> = fs::read_to_string(&path).map_err(LabError::file("read", &path))?.trim().into();
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, GUEST_PORT)).map_err(LabError::system("listen for the host"))?;
    println!("LEAFWALL-GUEST-READY");
    for stream in listener.incoming() {
        let stream = stream.map_err(LabError::system("accept the host"))?;
        let token = Arc::clone(&token);
        thread::spawn(move || {
            if let Err(error) = serve(stream, &token) {
                println!("leafwall guest: {error}");
            }
        });
    }
    Ok(())
}

fn serve(mut stream: TcpStream, token: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let Some(Frame::Request(json)) = Frame::read(&mut stream)? else { return Ok(()) };
    let request: Request = serde_json::from_slice(&json)?;
    if request.token != token {
        return end(&mut stream, &Ending::Refused("the token is not that of this lab".to_owned()));
    }
    match start(&request) {
        Ok(child) => attend(&stream, child),
        Err(error) => end(&mut stream, &Ending::Refused(format!("`{}` does not start: {error}", request.argv.join(" ")))),
    }
}

fn start(request: &Request) -> io::Result<Child> {
    let (program, arguments) = request.argv.split_first().ok_or_else(|| io::Error::other("no command"))?;
    let mut command = match request.terminal {
        Terminal::Pipes => {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
        // script(1) makes the pseudo-terminal.
        Terminal::Pty { rows, columns } => {
            let line = request.argv.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
            let mut command = Command::new("script");
            command.args(["--quiet", "--flush", "--return", "--command"]);
            command.arg(format!("stty rows {rows} columns {columns}; exec {line}")).arg("/dev/null");
            command
        }
    };
    command.envs(&request.environment).current_dir(GUEST_WORK);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()
}

/// A word for the shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// What a command writes to, and the frames for it.
type Pipe = (Box<dyn Read + Send>, fn(Vec<u8>) -> Frame);

/// Passes bytes between the connection and the command until the command ends.
fn attend(stream: &TcpStream, mut child: Child) -> io::Result<()> {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let writer = Arc::new(Mutex::new(stream.try_clone()?));
    let outputs: [Option<Pipe>; 2] = [
        child.stdout.take().map(|pipe| (Box::new(pipe) as _, Frame::Output as _)),
        child.stderr.take().map(|pipe| (Box::new(pipe) as _, Frame::Error as _)),
    ];
    let readers: Vec<_> = outputs
        .into_iter()
        .flatten()
        .map(|(pipe, frame)| {
            thread::spawn({
                let writer = Arc::clone(&writer);
                move || forward(pipe, frame, &writer)
            })
        })
        .collect();
    let stdin = child.stdin.take();
    let ended = Arc::new(Mutex::new(false));
    thread::spawn({
        let (mut stream, ended) = (stream.try_clone()?, Arc::clone(&ended));
        move || {
            feed(&mut stream, stdin);
            // The client is gone: end what it started. Under the lock, so that the group cannot have been given to others.
            let ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(group) = group.filter(|_| !*ended) {
                let _ = kill_process_group(group, Signal::TERM);
            }
        }
    });
    for reader in readers {
        let _ = reader.join();
    }
    let status = {
        let status = child.wait()?;
        *ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        status
    };
    let result = end(&mut writer.lock().unwrap_or_else(PoisonError::into_inner), &Ending::Status(code_of(status)));
    stream.shutdown(std::net::Shutdown::Both).ok();
    result
}

fn forward(mut pipe: Box<dyn Read + Send>, frame: fn(Vec<u8>) -> Frame, to: &Mutex<TcpStream>) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        let mut to = to.lock().unwrap_or_else(PoisonError::into_inner);
        if frame(buffer[..count].to_vec()).write(&mut *to).is_err() {
            return;
        }
    }
}

/// Gives the client's input to the command; returns when the client closes the connection.
fn feed(stream: &mut TcpStream, mut stdin: Option<std::process::ChildStdin>) {
    while let Ok(Some(frame)) = Frame::read(stream) {
        match frame {
            Frame::Input(bytes) if bytes.is_empty() => stdin = None,
            Frame::Input(bytes) => {
                if stdin.as_mut().is_some_and(|pipe| pipe.write_all(&bytes).and_then(|()| pipe.flush()).is_err()) {
                    stdin = None;
                }
            }
            _ => return,
        }
    }
}

fn end(stream: &mut TcpStream, ending: &Ending) -> io::Result<()> {
    Frame::Ending(serde_json::to_vec(ending)?).write(stream)
}

fn code_of(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
