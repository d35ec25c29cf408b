//! A real etcd on loopback, of one member or more, in a directory of its own; all of it goes with the test, also with one that fails.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long members may take to find each other on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// So many ports of loopback that nobody listens on.
pub fn free_ports(count: usize) -> Vec<u16> {
    // all at once, so that they differ
    let listeners: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// One member.
struct Member {
    name: String,
    client: u16,
    peer: u16,
    process: Option<Child>,
}

/// A running etcd.
pub struct EtcdProcesses {
    directory: PathBuf,
    members: Vec<Member>,
}

impl EtcdProcesses {
    /// Whether this machine has an etcd.
    pub fn is_installed() -> bool {
        Command::new("etcd").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// Starts so many members and waits until they serve.
    pub fn start(count: usize) -> Self {
        // the ports were free a moment ago; if somebody was faster, others are
        (0..5).find_map(|_| Self::try_start(count)).unwrap()
    }

    fn try_start(count: usize) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("leafwall-etcd-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let ports = free_ports(2 * count);
        let members = ports.chunks(2).enumerate();
        let members =
            members.map(|(at, ports)| Member { name: format!("m{at}"), client: ports[0], peer: ports[1], process: None }).collect();
        let mut this = Self { directory, members };
        for at in 0..count {
            this.start_member(at);
        }
        let start = Instant::now();
        while !(0..count).all(|at| this.serves(at)) {
            let ended = |member: &mut Member| member.process.as_mut().is_some_and(|process| process.try_wait().unwrap().is_some());
            if this.members.iter_mut().any(ended) || start.elapsed() > PATIENCE {
                for member in &this.members {
                    let log = std::fs::read_to_string(this.directory.join(format!("{}.log", member.name)));
                    eprintln!("{}: {}", member.name, log.unwrap_or_default());
                }
                return None;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(this)
    }

    fn start_member(&mut self, at: usize) {
        let cluster: Vec<String> = self.members.iter().map(|member| format!("{}=http://127.0.0.1:{}", member.name, member.peer)).collect();
        let member = &mut self.members[at];
        let (client, peer) = (format!("http://127.0.0.1:{}", member.client), format!("http://127.0.0.1:{}", member.peer));
        let log = std::fs::File::create(self.directory.join(format!("{}.log", member.name))).unwrap();
        let process = Command::new("etcd")
            .args(["--name", &member.name, "--logger", "zap", "--log-outputs", "stderr", "--log-level", "warn"])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &cluster.join(","), "--initial-cluster-state", "new"])
            .arg("--data-dir")
            .arg(self.directory.join(&member.name))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        member.process = Some(process.unwrap());
    }

    /// Whether this member has a leader: its own answer about its health, over HTTP.
    fn serves(&self, at: usize) -> bool {
        use std::io::{Read, Write};
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", self.members[at].client)) else { return false };
        let mut answer = String::new();
        let asked = stream.set_read_timeout(Some(Duration::from_secs(5))).is_ok()
            && stream.write_all(b"GET /health HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n").is_ok()
            && stream.read_to_string(&mut answer).is_ok();
        asked && answer.contains("\"health\":\"true\"")
    }

    /// Kills a member and does not wait for the others to notice.
    pub fn kill(&mut self, at: usize) {
        if let Some(mut process) = self.members[at].process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Where clients reach its members.
    pub fn ports(&self) -> Vec<u16> {
        self.members.iter().map(|member| member.client).collect()
    }

    /// As `--store` takes it, below a prefix.
    pub fn url(&self, prefix: &str) -> String {
        let members: Vec<String> = self.ports().iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("etcd://{}/{prefix}", members.join(","))
    }

    /// Where its data and logs are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for EtcdProcesses {
    fn drop(&mut self) {
        for at in 0..self.members.len() {
            self.kill(at);
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
