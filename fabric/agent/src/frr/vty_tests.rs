use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::frr::fake::FakeDaemon;

/// A socket of a daemon that says to each command what `answer` gives: its bytes, as they are.
fn raw(answer: impl Fn(&str) -> Vec<u8> + Clone + Send + 'static) -> (FakeDaemon, PathBuf) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let dir = std::env::temp_dir().join(format!("lw-vty-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir_all(&dir).unwrap();
    let fake = FakeDaemon::serve(&dir, "zebra", move || answer.clone());
    let socket = fake.socket().to_owned();
    (fake, socket)
}

fn ended(text: &str, status: u8) -> Vec<u8> {
    [text.as_bytes(), &[0, 0, 0, status]].concat()
}

#[tokio::test]
async fn an_answer_is_text_and_a_status() {
    let (_fake, socket) = raw(|command| match command {
        "show version" => ended("FRR 10.3\n", 0),
        "show nothing" => ended("% [ZEBRA] Unknown command: show nothing\n", 2),
        _ => ended("", 13),
    });
    let mut vty = Vty::open("zebra", &socket).await.unwrap();
    assert_eq!(vty.ask("show version").await.unwrap(), Reply { status: Status::Success, text: "FRR 10.3\n".into() });
    let unknown = vty.ask("show nothing").await.unwrap();
    assert_eq!((unknown.status, unknown.is_done()), (Status::Unknown, false));
    assert_eq!(unknown.words(), "% [ZEBRA] Unknown command: show nothing");
    assert_eq!(vty.ask("else").await.unwrap().status, Status::Failed(13));
}

#[tokio::test]
async fn a_status_that_is_zero_and_long_answers_are_read_whole() {
    let long = "x".repeat(300_000);
    let (_fake, socket) = raw({
        let long = long.clone();
        move |_| ended(&long, 0)
    });
    let mut vty = Vty::open("zebra", &socket).await.unwrap();
    let commands = ["a"; 100];
    let replies = vty.ask_all(&commands[..20]).await.unwrap();
    assert!(replies.len() == 20 && replies.iter().all(|reply| reply.text == long && reply.is_done()));
}

#[tokio::test]
async fn a_warning_is_done_unless_the_daemon_complains() {
    let reply = |text: &str| Reply { status: Status::Warning, text: text.into() };
    assert!(reply("").is_done());
    assert!(reply("note that a hundred percent % is much\n").is_done());
    assert!(!reply("  % Can't do that\n").is_done());
}

#[tokio::test]
async fn a_daemon_that_goes_away_or_talks_nonsense_is_an_error() {
    let (fake, socket) = raw(|command| if command == "nul" { b"a\0b\0\0\0\0".to_vec() } else { b"half".to_vec() });
    let mut vty = Vty::open("zebra", &socket).await.unwrap();
    assert!(matches!(vty.ask("nul").await, Err(VtyError::Garbled { .. })));
    let mut vty = Vty::open("zebra", &socket).await.unwrap();
    vty.silence = Duration::from_millis(50);
    assert!(matches!(vty.ask("half").await, Err(VtyError::Silent { .. })));
    let mut vty = Vty::open("zebra", &socket).await.unwrap();
    vty.send("half").await.unwrap();
    // it has taken the connection, or there is nothing to hang up yet
    vty.more("half").await.unwrap();
    fake.hang_up();
    assert!(matches!(vty.answer("half").await, Err(VtyError::Closed { .. })));
    assert!(matches!(Vty::open("zebra", &socket.with_extension("none")).await, Err(VtyError::Io { .. })));
}

#[tokio::test]
async fn what_is_no_line_is_not_sent() {
    let (_fake, socket) = raw(|_| ended("", 0));
    let mut vty = Vty::open("zebra", &socket).await.unwrap();
    for line in ["a\nb".to_owned(), "a\0b".to_owned(), "a\rb".to_owned(), "x".repeat(LINE_MAX + 1)] {
        assert!(matches!(vty.ask(&line).await, Err(VtyError::Line { .. })));
    }
    assert!(vty.ask(&"x".repeat(LINE_MAX)).await.unwrap().is_done());
}
