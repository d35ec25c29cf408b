//! The daemons of one path space, asked and configured over their own sockets.
//!
//! `vtysh` knows from tables that it was built with which daemon takes which line. We ask: a line goes to every daemon that is in the line's context, and one
//! of them must take it. Who does not know a kind of statement is not asked about that kind again. So this holds for every version of FRR.
//!
//! A daemon that does not know a line tries it in the contexts around the present one, and stays where it was taken. Therefore each context is left by the word
//! that belongs to it alone, and leaving must work in every daemon that entered (H9).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use futures_util::future::{join_all, try_join_all};
use leafwall_delta::Step;
use leafwall_render::frr::{Block, blocks};
use leafwall_rollout::digest::Digest;
use serde::de::DeserializeOwned;

use super::FrrError;
use super::vty::{Reply, Status, Vty, VtyError};

/// Where FRR has its sockets, and the directories of other path spaces.
const RUN: &str = "/run/frr";
/// What watches the others and takes no configuration.
const WATCHER: &str = "watchfrr";
/// Takes configuration for others, so it goes first.
const FIRST: &str = "mgmtd";

/// How the daemons are told that a whole configuration follows, and that it is over: mgmtd commits only then, bgpd waits with its first routes.
const ENTER: &str = "configure terminal file-lock";
const BEGIN: &str = "XFRR_start_configuration";
const END: &str = "XFRR_end_configuration";

/// How often, and how long apart, the configuration is asked for while somebody else holds it.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Sessions with all daemons that run.
#[derive(Debug)]
pub struct Daemons {
    sessions: Vec<Vty>,
    /// Kinds of statement that a daemon does not know.
    unknown: BTreeSet<(usize, String)>,
}

/// Where the daemons of a path space have their sockets.
pub fn directory(pathspace: Option<&str>) -> PathBuf {
    let run = Path::new(RUN);
    pathspace.map_or_else(|| run.to_owned(), |name| run.join(name))
}

impl Daemons {
    /// Connects to every daemon that has a socket there and listens.
    pub async fn open(directory: &Path) -> Result<Self, FrrError> {
        let names = names(directory).map_err(|source| FrrError::Sockets { directory: directory.to_owned(), source })?;
        let mut sessions = Vec::new();
        for name in names {
            match Vty::open(&name, &directory.join(format!("{name}.vty"))).await {
                Ok(mut session) => {
                    session.ask("enable").await?;
                    sessions.push(session);
                }
                // the socket of a daemon that ended without taking it away
                Err(VtyError::Io { source, .. }) if source.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error.into()),
            }
        }
        if sessions.is_empty() {
            return Err(FrrError::NoDaemons { directory: directory.to_owned() });
        }
        Ok(Self { sessions, unknown: BTreeSet::new() })
    }

    /// What the daemon that a command is for says to it.
    pub async fn ask(&mut self, command: &str) -> Result<String, FrrError> {
        let daemon = responsible(command);
        let session = self.sessions.iter_mut().find(|session| session.daemon() == daemon);
        let session = session.ok_or_else(|| FrrError::NotRunning { daemon: daemon.to_owned() })?;
        let reply = session.ask(command).await?;
        if reply.is_done() { Ok(reply.text) } else { Err(FrrError::Command { command: command.to_owned(), complaint: reply.words() }) }
    }

    /// The same, as JSON.
    pub async fn show_json<T: DeserializeOwned>(&mut self, command: &'static str) -> Result<T, FrrError> {
        serde_json::from_str(&self.ask(command).await?).map_err(|source| FrrError::Json { command, source })
    }

    /// What all of them run, as one text.
    pub async fn running(&mut self) -> Result<String, FrrError> {
        Ok(merged(&self.texts().await?))
    }

    /// What each of them runs, by its name.
    pub(super) async fn texts(&mut self) -> Result<Vec<(String, String)>, FrrError> {
        const COMMAND: &str = "show running-config";
        let replies = try_join_all(self.sessions.iter_mut().map(|session| session.ask(COMMAND))).await?;
        if let Some(reply) = replies.iter().find(|reply| !reply.is_done()) {
            return Err(FrrError::Command { command: COMMAND.to_owned(), complaint: reply.words() });
        }
        let names = self.sessions.iter().map(|session| session.daemon().to_owned());
        Ok(names.zip(replies.into_iter().map(|reply| reply.text)).collect())
    }

    /// Enters lines of configuration, with the contexts that their indentation says, on top of what is running.
    pub async fn configure(&mut self, text: &str) -> Result<(), FrrError> {
        self.enter().await?;
        let all: Vec<usize> = (0..self.sessions.len()).collect();
        let loaded = Box::pin(self.walk(&blocks(text), &all, None)).await;
        // whatever happened: what was taken is committed, and no lock stays
        let left = self.leave().await;
        loaded.and(left)
    }

    /// Does one step of a delta: says it, and asks neighbours for their routes again where that is needed.
    pub async fn take(&mut self, step: &Step) -> Result<(), FrrError> {
        self.configure(&step.text()).await?;
        for refresh in &step.refreshes {
            self.ask(&refresh.command()).await?;
        }
        Ok(())
    }

    /// Those that take configuration for others come first, the others at once.
    async fn enter(&mut self) -> Result<(), FrrError> {
        let (first, others) = self.apart();
        for session in first {
            enter(session).await?;
        }
        try_join_all(others.into_iter().map(enter)).await?;
        Ok(())
    }

    /// What is pending is committed now, which takes as long as lists are many: in all daemons at once, but not while mgmtd commits for some of them.
    async fn leave(&mut self) -> Result<(), FrrError> {
        let (first, others) = self.apart();
        let mut left = Vec::new();
        for session in first {
            left.push(leave(session).await);
        }
        left.extend(join_all(others.into_iter().map(leave)).await);
        left.into_iter().collect()
    }

    /// mgmtd, if it runs, and the others.
    fn apart(&mut self) -> (Vec<&mut Vty>, Vec<&mut Vty>) {
        self.sessions.iter_mut().partition(|session| session.daemon() == FIRST)
    }

    /// Enters statements of one context in the daemons that are in it.
    async fn walk(&mut self, statements: &[Block<'_>], inside: &[usize], kind: Option<&str>) -> Result<(), FrrError> {
        let mut rest = statements;
        while let Some(first) = rest.first() {
            let own = kind.map_or_else(|| kind_of(first), ToOwned::to_owned);
            // neighbours of one kind that open nothing go together
            let alike = |next: &&Block<'_>| !opens(next) && (kind.is_some() || kind_of(next) == own);
            let count = if opens(first) { 1 } else { rest.iter().take_while(alike).count() };
            let (now, later) = rest.split_at(count);
            rest = later;
            let asked = self.knowing(inside, &own, first, kind.is_none());
            let takers = self.enter_lines(now, &asked, &own, kind.is_none()).await?;
            if opens(first) {
                Box::pin(self.walk(&first.children, &takers, Some(&own))).await?;
                self.close(first, &takers).await?;
            }
        }
        Ok(())
    }

    /// Who may know statements of a kind, as far as we have seen.
    fn knowing(&self, inside: &[usize], kind: &str, block: &Block<'_>, top: bool) -> Vec<usize> {
        let concerned = |index: &usize| concerns(kind, block, self.sessions[*index].daemon());
        let may = |index: &usize| !top || (concerned(index) && !self.unknown.contains(&(*index, kind.to_owned())));
        inside.iter().copied().filter(may).collect()
    }

    /// Sends lines to daemons; each must be taken by one at least and refused by none that knows it. Who took the last one.
    async fn enter_lines(&mut self, lines: &[Block<'_>], to: &[usize], kind: &str, top: bool) -> Result<Vec<usize>, FrrError> {
        // the first of a kind finds out who knows it, and they must take the rest; inside a context not everybody knows every line
        let (probe, rest) = lines.split_at(usize::from(top).min(lines.len()));
        let mut takers = to.to_vec();
        for (part, strict) in [(probe, false), (rest, top)].into_iter().filter(|(part, _)| !part.is_empty()) {
            let texts: Vec<&str> = part.iter().map(Block::text).collect();
            let asked = takers.clone();
            let sessions = self.sessions.iter_mut().enumerate().filter(|(index, _)| asked.contains(index));
            let replies: BTreeMap<usize, Vec<Reply>> =
                try_join_all(sessions.map(async |(index, session)| session.ask_all(&texts).await.map(|replies| (index, replies))))
                    .await?
                    .into_iter()
                    .collect();
            for (at, line) in part.iter().enumerate() {
                let mut took = Vec::new();
                let mut complaints = Vec::new();
                for (index, reply) in replies.iter().filter_map(|(index, replies)| Some((*index, replies.get(at)?))) {
                    let daemon = self.sessions[index].daemon();
                    match reply.status {
                        _ if reply.is_done() => took.push(index),
                        Status::Unknown if !strict => complaints.push(format!("{daemon}: {}", reply.words())),
                        _ => return Err(refused(daemon, line.number, line.text(), reply)),
                    }
                }
                if took.is_empty() {
                    let complaint = if complaints.is_empty() { "no daemon that runs knows it".to_owned() } else { complaints.join("; ") };
                    return Err(FrrError::Line { number: line.number, line: line.text().to_owned(), complaint });
                }
                if top {
                    let deaf = asked.iter().filter(|index| !took.contains(index));
                    self.unknown.extend(deaf.map(|index| (*index, kind.to_owned())));
                }
                takers = took;
            }
        }
        Ok(takers)
    }

    /// Leaves a context. A daemon that is no longer in it took one of its lines elsewhere.
    async fn close(&mut self, block: &Block<'_>, inside: &[usize]) -> Result<(), FrrError> {
        let word = block.close().unwrap_or("exit");
        for index in inside {
            let session = &mut self.sessions[*index];
            if !session.ask(word).await?.is_done() {
                return Err(FrrError::Context { number: block.number, line: block.text().to_owned(), daemon: session.daemon().to_owned() });
            }
        }
        Ok(())
    }
}

/// Begins to configure one daemon, once nobody else does.
async fn enter(session: &mut Vty) -> Result<(), FrrError> {
    for tries in 1.. {
        let reply = session.ask(ENTER).await?;
        if reply.is_done() {
            break;
        }
        if tries == LOCK_TRIES {
            return Err(failed(session.daemon(), ENTER, &reply));
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    let reply = session.ask(BEGIN).await?;
    if reply.is_done() { Ok(()) } else { Err(failed(session.daemon(), BEGIN, &reply)) }
}

/// Ends it, and says what the daemon has against that.
async fn leave(session: &mut Vty) -> Result<(), FrrError> {
    let reply = session.ask(END).await?;
    session.ask("end").await?;
    if reply.is_done() { Ok(()) } else { Err(failed(session.daemon(), END, &reply)) }
}

/// Daemons with a socket, in the order in which they are configured.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        if let Ok(file) = entry?.file_name().into_string()
            && let Some(name) = file.strip_suffix(".vty")
            && name != WATCHER
        {
            names.push(name.to_owned());
        }
    }
    names.sort_by_key(|name| (name != FIRST, name.clone()));
    Ok(names)
}

/// Who answers a question.
fn responsible(command: &str) -> &'static str {
    match command.split(' ').nth(1) {
        Some("bgp") => "bgpd",
        Some("bfd") => "bfdd",
        _ => "zebra",
    }
}

/// Whether a statement opens a context.
fn opens(block: &Block<'_>) -> bool {
    !block.is_leaf() || block.close().is_some()
}

/// What kind of statement stands at the top: who knows one of a kind knows them all.
fn kind_of(block: &Block<'_>) -> String {
    let mut words = block.words.iter().skip_while(|word| **word == "no");
    match (words.next(), words.next()) {
        (Some(first @ (&"ip" | &"ipv6" | &"bgp" | &"router" | &"log" | &"frr" | &"service" | &"debug")), Some(second)) => {
            format!("{first} {second}")
        }
        (first, _) => first.copied().unwrap_or_default().to_owned(),
    }
}

/// Statements that other daemons know too, though they are not meant.
fn concerns(kind: &str, block: &Block<'_>, daemon: &str) -> bool {
    match kind {
        "router bgp" => daemon == "bgpd",
        // VNIs of VRFs are zebra's, and mgmtd commits for it. bgpd hears of both from zebra, and looks through its whole tree of lists for each VRF that it is told of:
        // 14 s for a thousand (FRR 10.3)
        "vrf" if only_vnis(block) => matches!(daemon, "zebra" | "mgmtd"),
        // it knows VRFs, and nothing to say of them
        "vrf" => daemon != "bfdd",
        _ => true,
    }
}

/// Whether all that is said of a VRF is which VNI it has.
fn only_vnis(block: &Block<'_>) -> bool {
    let vni = |child: &Block<'_>| matches!(child.words.as_slice(), ["vni", ..] | ["no", "vni", ..]);
    !block.is_leaf() && block.children.iter().all(vni)
}

fn failed(daemon: &str, command: &str, reply: &Reply) -> FrrError {
    FrrError::Command { command: command.to_owned(), complaint: format!("{daemon}: {}", reply.words()) }
}

fn refused(daemon: &str, number: usize, line: &str, reply: &Reply) -> FrrError {
    FrrError::Line { number, line: line.to_owned(), complaint: format!("{daemon}: {}", reply.words()) }
}

/// Of who runs what.
pub(super) fn digest(texts: &[(String, String)]) -> Digest {
    let mut all = Vec::new();
    for (daemon, text) in texts {
        all.extend_from_slice(daemon.as_bytes());
        all.push(0);
        all.extend_from_slice(Digest::of(text.as_bytes()).bytes());
    }
    Digest::of(&all)
}

/// One text of several daemons' configurations: what stands in the same context is put together, what several of them say stands once.
pub(super) fn merged(texts: &[(String, String)]) -> String {
    let mut top = Level::default();
    for (_, text) in texts {
        top.add(blocks(text));
    }
    let mut into = String::new();
    top.print(0, &mut into);
    into
}

/// The statements of one context, in the order in which they were first said.
#[derive(Default)]
struct Level<'a> {
    places: HashMap<&'a str, usize>,
    statements: Vec<(&'a str, Level<'a>, Option<&'a str>)>,
}

impl<'a> Level<'a> {
    fn add(&mut self, blocks: Vec<Block<'a>>) {
        for block in blocks {
            let place = *self.places.entry(block.text()).or_insert_with(|| {
                self.statements.push((block.text(), Self::default(), None));
                self.statements.len() - 1
            });
            let (_, level, close) = &mut self.statements[place];
            *close = block.close().or(*close);
            level.add(block.children);
        }
    }

    fn print(&self, depth: usize, into: &mut String) {
        for (text, level, close) in &self.statements {
            into.extend([&" ".repeat(depth), *text, "\n"]);
            level.print(depth + 1, into);
            if let Some(close) = close {
                into.extend([&" ".repeat(depth), *close, "\n"]);
            }
        }
    }
}

#[cfg(test)]
#[path = "daemons_tests.rs"]
mod tests;
