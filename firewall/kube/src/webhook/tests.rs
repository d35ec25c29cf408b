use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::*;

/// A certificate in a directory of its own, which goes with it.
struct Files {
    directory: PathBuf,
    /// What clients trust: the certificate itself.
    trusted: CertificateDer<'static>,
}

impl Files {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("leafwall-webhook-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let mut files = Self { directory, trusted: Vec::new().into() };
        files.renew();
        files
    }

    fn renew(&mut self) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(self.directory.join("cert"), certificate.pem()).unwrap();
        std::fs::write(self.directory.join("key"), key.serialize_pem()).unwrap();
        self.trusted = CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap();
    }

    fn certificate(&self) -> Certificate {
        Certificate::new(self.directory.join("cert"), self.directory.join("key"))
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusted.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
    }

    /// What is answered to these bytes, if anything.
    async fn ask(&self, address: SocketAddr, request: &[u8]) -> String {
        let mut stream = self.connect(address).await.unwrap();
        // one that is refused half way is not read to its end
        let _ = stream.write_all(request).await;
        let _ = stream.flush().await;
        let mut answer = Vec::new();
        let _ = timeout(3 * PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn post(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into_bytes()
}

fn question(cidr: &str) -> String {
    let object = json!({"spec": {"egress": [{"to": [{"cidr": cidr}]}]}});
    let request = json!({"uid": "u", "kind": {"kind": "ClusterwideNetworkPolicy"}, "namespace": "firewall", "name": "x", "object": object});
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string()
}

type Heard = Arc<Mutex<Vec<Answer>>>;

async fn served(files: &Files) -> (SocketAddr, Heard, tokio::task::JoinHandle<Infallible>) {
    let webhook = Webhook::bind(([127, 0, 0, 1], 0).into(), files.certificate()).await.unwrap();
    let (address, heard) = (webhook.address(), Heard::default());
    let hears = Arc::clone(&heard);
    (address, heard, tokio::spawn(webhook.serve(Bounds::default(), move |answer| hears.lock().unwrap().push(answer))))
}

#[tokio::test]
async fn questions_are_answered_and_anything_else_is_an_error() {
    let files = Files::new();
    let (address, heard, task) = served(&files).await;
    let allowed = files.ask(address, &post(&question("10.0.0.0/8"))).await;
    assert!(allowed.starts_with("HTTP/1.1 200 OK\r\n") && allowed.contains(r#""allowed":true"#), "{allowed}");
    let refused = files.ask(address, &post(&question("10.0.0.0/99"))).await;
    assert!(refused.starts_with("HTTP/1.1 200 OK\r\n") && refused.contains("is not an address block"), "{refused}");

    let good = question("10.0.0.0/8");
    let deep = "[".repeat(100_000);
    let bad: [(&str, Vec<u8>); 11] = [
        ("400", post("")),
        ("400", post("{")),
        ("400", post("null")),
        ("400", post("[1, 2]")),
        ("400", post(&deep)),
        ("400", post(&good.replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1"))),
        ("400", [post(&"x".repeat(4)), vec![0xff]].concat()),
        ("404", post(&good).iter().copied().map(|b| if b == b'v' { b'w' } else { b }).collect()),
        ("405", b"GET /validate HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("415", String::from_utf8(post(&good)).unwrap().replace("application/json", "text/plain").into_bytes()),
        ("400", b"\x16\x03\x01 nonsense\r\n\r\n".to_vec()),
    ];
    for (status, request) in bad {
        let answer = files.ask(address, &request).await;
        let shown = String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}: {answer}");
    }
    // bytes that are no TLS at all
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(&post(&good)).await.unwrap();
    let _ = plain.read_to_end(&mut Vec::new()).await;
    assert!(files.ask(address, &post(&good)).await.contains(r#""allowed":true"#), "it goes on");
    let heard = heard.lock().unwrap().clone();
    let count = |wanted| heard.iter().filter(|answer| **answer == wanted).count();
    assert_eq!((count(Answer::Allowed), count(Answer::Refused)), (2, 1));
    task.abort();
}

#[tokio::test]
async fn a_question_has_a_bound_however_it_is_sent() {
    let files = Files::new();
    let (address, _, task) = served(&files).await;
    // one that says how long it is: refused before anything of it is read
    let head = "POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let stated = format!("{head}Content-Length: {}\r\n\r\n", BODY_MAX + 1);
    assert!(files.ask(address, stated.as_bytes()).await.starts_with("HTTP/1.1 413 "));
    // one that does not
    let chunk = format!("100000\r\n{}\r\n", " ".repeat(1 << 20));
    let endless = format!("{head}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat((BODY_MAX >> 20) + 1));
    let answer = files.ask(address, endless.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") || answer.is_empty(), "{answer}");
    // and one that is as long as it may be
    let mut longest = question("10.0.0.0/8");
    longest.push_str(&" ".repeat(BODY_MAX - longest.len()));
    assert!(files.ask(address, &post(&longest)).await.contains(r#""allowed":true"#));
    task.abort();
}

#[tokio::test]
async fn who_is_slow_keeps_nobody_out_for_long() {
    let files = Files::new();
    let (address, _, task) = served(&files).await;
    // connections without a handshake, and questions without an end, as many as are taken at once
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.push(TcpStream::connect(address).await.unwrap());
    }
    assert!(files.ask(address, &post(&question("10.0.0.0/8"))).await.contains(r#""allowed":true"#));
    drop(held);
    let mut held = Vec::new();
    for _ in 0..QUESTIONS {
        let mut stream = files.connect(address).await.unwrap();
        stream
            .write_all(b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{")
            .await
            .unwrap();
        held.push(stream);
    }
    assert!(files.ask(address, &post(&question("10.0.0.0/8"))).await.contains(r#""allowed":true"#));
    task.abort();
}

#[tokio::test]
async fn a_certificate_that_is_renewed_is_taken_and_a_broken_one_is_not() {
    let mut files = Files::new();
    let mut webhook = Webhook::bind(([127, 0, 0, 1], 0).into(), files.certificate()).await.unwrap();
    let first = webhook.pair.clone();
    std::fs::write(files.directory.join("key"), "half").unwrap();
    webhook.look_at_files();
    assert!(webhook.pair == first, "a broken key is not taken");
    std::fs::remove_file(files.directory.join("key")).unwrap();
    webhook.look_at_files();
    assert!(webhook.pair == first, "nor one that is not there");
    files.renew();
    webhook.look_at_files();
    let address = webhook.address();
    let task = tokio::spawn(webhook.serve(Bounds::default(), |_| ()));
    // whoever trusts the new one alone is served
    assert!(files.ask(address, &post(&question("10.0.0.0/8"))).await.contains(r#""allowed":true"#));
    task.abort();

    std::fs::write(files.directory.join("cert"), "nothing").unwrap();
    let error = Webhook::bind(([127, 0, 0, 1], 0).into(), files.certificate()).await.unwrap_err();
    assert!(matches!(error, WebhookError::Certificate(CertificateError::Pem { .. })), "{error}");
    // a key of another certificate
    files.renew();
    let other = Files::new();
    std::fs::copy(other.directory.join("key"), files.directory.join("key")).unwrap();
    let error = Webhook::bind(([127, 0, 0, 1], 0).into(), files.certificate()).await.unwrap_err();
    assert!(matches!(error, WebhookError::Certificate(CertificateError::Pair { .. })), "{error}");
}
