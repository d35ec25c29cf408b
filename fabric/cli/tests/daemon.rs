//! A controller as a process: what it logs, and where it answers.
#![allow(missing_docs, clippy::unwrap_used)] // a test fails by it

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_controllers_log_is_json_and_says_where_it_answers() {
    let state = std::env::temp_dir().join(format!("leafwall-daemon-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&state);
    let leafwall = || Command::new(env!("CARGO_BIN_EXE_leafwall"));
    assert!(leafwall().args(["controller", "init"]).arg(&state).status().unwrap().success());
    let any = "127.0.0.1:0";
    let mut run = leafwall();
    run.args(["controller", "run"]).arg(&state).args(["--listen", any, "--enroll-listen", any, "--metrics", any, "--log-format", "json"]);
    let mut running = Running(run.env_remove("LEAFWALL_LOG").stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(running.0.stderr.take().unwrap()).lines();
    let mut seen = Vec::new();
    let address = loop {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert!(["timestamp", "level", "target", "message"].iter().all(|field| line[field].is_string()), "{line}");
        seen.push(line["message"].as_str().unwrap().to_owned());
        if seen.last().unwrap() == "answers to Prometheus" {
            break line["address"].as_str().unwrap().to_owned();
        }
    };
    assert_eq!(seen, ["listens", "lets devices enrol", "answers to Prometheus"]);
    // the one that leads says so, with its term as a field
    let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!((line["message"].as_str(), line["epoch"].as_str()), (Some("leads the store"), Some("1")), "{line}");

    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /readyz HTTP/1.1\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    drop(running);
    std::fs::remove_dir_all(state).unwrap();
}
