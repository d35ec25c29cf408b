//! A real kube-apiserver on a real etcd, on loopback, in a directory of its own; all of it goes with the test, also with one that fails.
//!
//! Both, and kubectl, are one program, which `tests/apiserver` builds from Kubernetes' own sources at a pinned release. It is kept under `target/`.

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::etcd::free_ports;
use crate::namespace::with_input;
use crate::root;

/// How long the API server may take to be ready: its first start makes its own objects.
const PATIENCE: Duration = Duration::from_mins(2);
/// Who may do everything, by this token.
const TOKEN: &str = "leafwall-tests";

/// Builds the program, if that was not done before.
///
/// # Errors
/// Where there is no Go, or it does not build.
pub fn program() -> Result<PathBuf, String> {
    let source = root().join("tests/apiserver");
    let directory = root().join("target/apiserver");
    std::fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
    // one build at a time, whoever asks
    let lock = File::create(directory.join("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let mut inputs = String::new();
    for file in ["go.mod", "go.sum", "main.go"] {
        inputs.push_str(&std::fs::read_to_string(source.join(file)).map_err(|error| format!("{file}: {error}"))?);
    }
    let (program, made_from) = (directory.join("apiserver"), directory.join("inputs"));
    if program.is_file() && std::fs::read_to_string(&made_from).is_ok_and(|before| before == inputs) {
        return Ok(program);
    }
    let go = if Path::new("/usr/local/go/bin/go").is_file() { "/usr/local/go/bin/go" } else { "go" };
    eprintln!("building kube-apiserver, kubectl and etcd: some minutes, once");
    let mut build = Command::new(go);
    build
        .current_dir(&source)
        .env("CGO_ENABLED", "0")
        .args(["build", "-p", "2", "-trimpath", "-ldflags=-s -w", "-o"])
        .arg(&program)
        .arg(".");
    let output = build.output().map_err(|error| format!("there is no Go: {error}"))?;
    if !output.status.success() {
        return Err(format!("go build: {}", String::from_utf8_lossy(&output.stderr)));
    }
    std::fs::write(made_from, inputs).map_err(|error| error.to_string())?;
    Ok(program)
}

/// A cluster without nodes: an API server and what it stores in.
#[derive(Debug)]
pub struct ApiServer {
    program: PathBuf,
    directory: PathBuf,
    etcd: Child,
    server: Option<Child>,
    port: u16,
    etcd_port: u16,
}

impl ApiServer {
    /// Starts one and waits until it is ready.
    ///
    /// # Errors
    /// What it says in its log.
    pub fn start() -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let program = program()?;
        let name = format!("leafwall-apiserver-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        let ports = free_ports(3);
        let [port, etcd_port, peer_port] = ports[..] else { return Err("no ports".to_owned()) };
        let (client, peer) = (format!("http://127.0.0.1:{etcd_port}"), format!("http://127.0.0.1:{peer_port}"));
        let etcd = Command::new(&program)
            .args(["etcd", "--log-level", "warn", "--unsafe-no-fsync"])
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer, "--initial-cluster", &format!("default={peer}")])
            .arg("--data-dir")
            .arg(directory.join("etcd"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log(&directory, "etcd")?)
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut this = Self { program, directory, etcd, server: None, port, etcd_port };
        this.certificates().map_err(|error| error.to_string())?;
        this.serve()?;
        Ok(this)
    }

    fn certificates(&self) -> Result<(), Box<dyn std::error::Error>> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let (key, accounts) = (KeyPair::generate()?, KeyPair::generate()?);
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?.signed_by(&key, &authority)?;
        for (file, text) in [
            ("ca.pem", authority.pem()),
            ("server.pem", certificate.pem()),
            ("server.key", key.serialize_pem()),
            ("accounts.key", accounts.serialize_pem()),
            ("accounts.pub", accounts.public_key_pem()),
            ("tokens.csv", format!("{TOKEN},admin,admin,system:masters\n")),
        ] {
            std::fs::write(self.directory.join(file), text)?;
        }
        std::fs::write(self.kubeconfig(), self.kubeconfig_text(TOKEN))?;
        Ok(())
    }

    fn kubeconfig_text(&self, token: &str) -> String {
        let (port, ca) = (self.port, self.directory.join("ca.pem"));
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority: '{}'}}}}]\n\
             users: [{{name: u, user: {{token: '{token}'}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n",
            ca.display()
        )
    }

    /// A kubeconfig for one who may do everything.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    /// Writes a certificate for loopback and its key where the server's own are; clients trust it as it is. Certificate and key.
    ///
    /// # Errors
    /// Where they can't be made or written.
    pub fn certificate_for(&self, whom: &str) -> Result<(PathBuf, PathBuf), String> {
        let make = || -> Result<_, Box<dyn std::error::Error>> {
            let key = KeyPair::generate()?;
            let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.self_signed(&key)?;
            let paths = ["pem", "key"].map(|end| self.directory.join(format!("{whom}.{end}")));
            std::fs::write(&paths[0], certificate.pem())?;
            std::fs::write(&paths[1], key.serialize_pem())?;
            Ok(paths.into())
        };
        make().map_err(|error| error.to_string())
    }

    /// A kubeconfig for the account of the firewall machines, which may do what the manifests say and no more.
    ///
    /// # Errors
    /// Where the account is not there.
    pub fn firewall_kubeconfig(&self) -> Result<PathBuf, String> {
        let token = self.kubectl(&["create", "token", "leafwall-firewall", "-n", "firewall"], "")?;
        let path = self.directory.join("firewall.kubeconfig");
        std::fs::write(&path, self.kubeconfig_text(token.trim())).map_err(|error| error.to_string())?;
        Ok(path)
    }

    /// Starts the API server and waits until it is ready.
    ///
    /// # Errors
    /// What it says in its log.
    pub fn serve(&mut self) -> Result<(), String> {
        let file = |name: &str| self.directory.join(name).display().to_string();
        let server = Command::new(&self.program)
            .arg("kube-apiserver")
            .args([
                format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
                "--bind-address=127.0.0.1".to_owned(),
                "--advertise-address=127.0.0.1".to_owned(),
                format!("--secure-port={}", self.port),
                format!("--cert-dir={}", self.directory.display()),
                format!("--tls-cert-file={}", file("server.pem")),
                format!("--tls-private-key-file={}", file("server.key")),
                format!("--token-auth-file={}", file("tokens.csv")),
                "--authorization-mode=RBAC".to_owned(),
                "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
                format!("--service-account-key-file={}", file("accounts.pub")),
                format!("--service-account-signing-key-file={}", file("accounts.key")),
                "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
                "--disable-admission-plugins=ServiceAccount".to_owned(),
                "--endpoint-reconciler-type=none".to_owned(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log(&self.directory, "kube-apiserver")?)
            .spawn()
            .map_err(|error| error.to_string())?;
        self.server = Some(server);
        let start = Instant::now();
        while self.kubectl(&["get", "--raw", "/readyz"], "").is_err() {
            let ended = self.server.as_mut().is_some_and(|server| !matches!(server.try_wait(), Ok(None)));
            if ended || start.elapsed() > PATIENCE {
                return Err(format!("kube-apiserver is not ready: {}", self.log()));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Ends the API server; etcd stays.
    pub fn stop(&mut self) {
        end(self.server.take());
    }

    /// Where it serves.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on it serves at another port, once started again: who watched at the old one does not find it.
    pub fn move_to(&mut self, port: u16) -> Result<(), String> {
        self.port = port;
        std::fs::write(self.kubeconfig(), self.kubeconfig_text(TOKEN)).map_err(|error| error.to_string())
    }

    /// Runs kubectl as one who may do everything.
    ///
    /// # Errors
    /// What it says.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut command = Command::new(&self.program);
        command.arg("kubectl").arg("--kubeconfig").arg(self.kubeconfig()).args(arguments);
        with_input(&mut command, input).map_err(|error| error.to_string())
    }

    /// Makes etcd forget all revisions before its present one, so that watches from before are expired.
    ///
    /// # Errors
    /// What etcd says.
    pub fn forget(&self) -> Result<(), String> {
        let member = format!("http://127.0.0.1:{}", self.etcd_port);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        runtime
            .block_on(async {
                let mut client = etcd_client::Client::connect([member], None).await?;
                let head = client.get("/registry", None).await?.header().map_or(0, etcd_client::ResponseHeader::revision);
                client.compact(head, None).await
            })
            .map(drop)
            .map_err(|error| error.to_string())
    }

    /// The end of the API server's log.
    pub fn log(&self) -> String {
        let mut text = String::new();
        for name in ["etcd", "kube-apiserver"] {
            let log = std::fs::read_to_string(self.directory.join(format!("{name}.log"))).unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(15).collect();
            let _ = writeln!(text, "{name}:");
            for line in lines.iter().rev() {
                let _ = writeln!(text, "  {line}");
            }
        }
        text
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.stop();
        let _ = self.etcd.kill();
        let _ = self.etcd.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn end(child: Option<Child>) {
    if let Some(mut child) = child {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn log(directory: &Path, name: &str) -> Result<File, String> {
    let path = directory.join(format!("{name}.log"));
    File::options().append(true).create(true).open(path).map_err(|error| error.to_string())
}
