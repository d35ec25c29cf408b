//! The state machine between clients, resolvers and the kernel. Told what happened and what time it is, it answers what to do.
//!
//! - A query goes to a resolver as the client wrote it, with another id; the same question from several clients goes once. What does not answer is asked elsewhere.
//! - A reply about a name that rules use is asked for again over TCP where it is not whole, read, and held until the kernel has every address in it: by [`HOLD_MOST`] at the
//!   latest, and then it becomes SERVFAIL. So the first connection to an address finds it open.
//! - Everything that waits is bounded, in number, in bytes, and for each client.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use leafwall_policy::rule::Fqdn;
use leafwall_policy::zone::{FirewallRules, Sources, ZoneKind};
use leafwall_topology::Prefix;

use crate::answer::{self, Query, Unasked, Useless};
use crate::book::{self, Book, Change, Moment, Pair, Standing};
use crate::names::Names;
use crate::space::{Refusal, Space};

/// How long a resolver has over UDP, and over TCP. Clients ask again after five seconds, and after two some.
const UDP_WAIT: Duration = Duration::from_secs(1);
const TCP_WAIT: Duration = Duration::from_secs(2);
/// How often one question is asked at most, all resolvers together.
const TRIES: usize = 3;
/// How long an answer is held for the kernel.
pub const HOLD_MOST: Duration = Duration::from_secs(2);
/// Clients' queries that wait for an answer at once, all together.
pub const WAITING_MAX: usize = 4096;
/// And of one client's address.
pub const WAITING_PER_CLIENT: usize = 1024;
/// Most bytes of held answers.
const HELD_BYTES: usize = 16 << 20;
/// After so many replies that do not fit somebody is guessing, and the question goes over TCP.
const WRONG_MAX: u32 = 8;
/// How often it is looked for addresses that nobody needs any more.
const TIDY: Duration = Duration::from_secs(10);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client {
    /// Which of our addresses it asked.
    pub listener: usize,
    /// Where it is.
    pub peer: SocketAddr,
    /// The connection over which it asks; `None` is UDP.
    pub stream: Option<u64>,
}

/// How a resolver is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram.
    Udp,
    /// In a connection of its own.
    Tcp,
}

/// A question that a resolver was asked, from a socket of its own.
pub type Ask = u64;

/// What happened.
#[derive(Debug)]
pub enum Event<'e> {
    /// A client sent this.
    Query(Client, &'e [u8]),
    /// This came from the resolver that was asked, to the socket that asked.
    Reply(Ask, &'e [u8]),
    /// The resolver can't be asked.
    Failed(Ask),
    /// The kernel was told, and has it or not.
    Settled(bool),
    /// The kernel lacks these.
    Lost(Vec<Pair>),
    /// Rules use other names.
    Names(Names),
    /// Time has passed.
    Time,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask the resolver of that number, from a new socket.
    Ask(Ask, usize, Transport, Vec<u8>),
    /// That socket is no longer needed.
    Close(Ask),
    /// Tell the client this.
    Answer(Client, Vec<u8>),
    /// Tell the kernel this, and say how it went.
    Tell(Change),
}

/// What does not change.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How many resolvers there are.
    pub resolvers: usize,
    /// From where queries are taken.
    pub clients: Vec<Prefix>,
    /// What answers may open.
    pub space: Space,
    /// How long and how much is kept.
    pub book: book::Settings,
}

impl Settings {
    /// For a firewall: whoever may send from its own networks may ask.
    pub fn of(firewall: &FirewallRules, resolvers: usize) -> Self {
        let own = firewall.zones.iter().filter(|zone| zone.kind == ZoneKind::Own);
        let clients = own.flat_map(|zone| match &zone.sources {
            Sources::Only(sources) => sources.clone(),
            Sources::AllBut(_) => zone.prefixes.clone(),
        });
        Self { resolvers, clients: clients.collect(), space: Space::from(firewall), book: book::Settings::default() }
    }
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Queries of clients.
    pub queries: u64,
    /// From elsewhere, or none at all: they get nothing.
    pub strangers: u64,
    /// That got no answer but SERVFAIL since too much waited.
    pub crowded: u64,
    /// Answers that passed as they came.
    pub passed: u64,
    /// Answers about names of rules.
    pub resolved: u64,
    /// Those of them that had to wait for the kernel.
    pub held: u64,
    /// That waited too long, or had no room: SERVFAIL.
    pub not_held: u64,
    /// Answers about names of rules that could not be used: SERVFAIL.
    pub useless: u64,
    /// Answers that had no permitted address: REFUSED.
    pub blocked: u64,
    /// Addresses that were left out, in the order of [`Refusal::ALL`].
    pub refused: [u64; 4],
    /// Replies that belong to no question.
    pub wrong: u64,
    /// Questions that were asked again over TCP.
    pub over_tcp: u64,
    /// Resolvers that did not answer, or could not.
    pub unanswered: u64,
}

struct Asked {
    query: Query,
    over_stream: bool,
    waiters: Vec<(Client, [u8; 2])>,
    resolver: usize,
    transport: Transport,
    id: u16,
    tries: usize,
    wrong: u32,
    until: Moment,
}

struct Held {
    query: Query,
    waiters: Vec<(Client, [u8; 2])>,
    bytes: Vec<u8>,
    needs: Vec<(Pair, Moment)>,
    until: Moment,
}

/// The proxy, without its sockets.
pub struct Proxy {
    settings: Settings,
    names: Names,
    book: Book,
    asked: BTreeMap<Ask, Asked>,
    /// The same question is asked once; those over TCP apart, since they may have longer answers.
    questions: BTreeMap<(Vec<u8>, bool), Ask>,
    timers: BTreeSet<(Moment, Ask)>,
    /// In the order of their ends.
    held: VecDeque<Held>,
    held_bytes: usize,
    waiting: BTreeMap<IpAddr, usize>,
    waiting_all: usize,
    next: Ask,
    /// The resolver that is asked first: one that answers.
    first: usize,
    tidied: Moment,
    refusals: BTreeMap<Fqdn, (IpAddr, Refusal)>,
    counts: Counts,
}

impl Proxy {
    /// One that knows these names from before, and what the kernel was told to keep for how long from now.
    pub fn new(settings: Settings, names: Names, kept: impl IntoIterator<Item = (Fqdn, IpAddr, Duration)>) -> Self {
        let mut book = Book::new(settings.book);
        book.recover(
            kept.into_iter().filter(|(fqdn, address, _)| names.all().contains(fqdn) && settings.space.judge(*address).is_ok()),
            Moment::ZERO,
        );
        Self {
            settings,
            names,
            book,
            asked: BTreeMap::new(),
            questions: BTreeMap::new(),
            timers: BTreeSet::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            waiting: BTreeMap::new(),
            waiting_all: 0,
            next: 0,
            first: 0,
            tidied: Moment::ZERO,
            refusals: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many questions, answers and clients wait.
    pub fn waiting(&self) -> usize {
        self.waiting_all
    }

    /// The addresses.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// The last address of each name that was left out, and why.
    pub fn refusals(&self) -> &BTreeMap<Fqdn, (IpAddr, Refusal)> {
        &self.refusals
    }

    /// When to come back if nothing happens until then.
    pub fn wake(&self) -> Moment {
        let asked = self.timers.first().map(|(until, _)| *until);
        let held = self.held.front().map(|held| held.until);
        [asked, held, self.book.wake(), Some(self.tidied + TIDY)].into_iter().flatten().min().unwrap_or(self.tidied + TIDY)
    }

    /// Takes an event. `chance` gives ids that nobody can guess.
    pub fn handle(&mut self, event: Event<'_>, now: Moment, chance: &mut dyn FnMut() -> u16) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut out = Out { now, chance, actions: &mut actions };
        match event {
            Event::Query(client, bytes) => self.query(client, bytes, &mut out),
            Event::Reply(ask, bytes) => self.reply(ask, bytes, &mut out),
            Event::Failed(ask) => self.elsewhere(ask, &mut out),
            Event::Settled(is_in_kernel) => {
                self.book.settled(is_in_kernel, now);
                self.release(&mut out);
            }
            Event::Lost(pairs) => self.book.lost(pairs),
            Event::Names(names) => {
                self.book.retain(&names);
                self.refusals.retain(|fqdn, _| names.all().contains(fqdn));
                self.names = names;
                self.release(&mut out);
            }
            Event::Time => {}
        }
        self.pass_time(&mut out);
        if let Some(change) = self.book.change(now) {
            actions.push(Action::Tell(change));
        }
        actions
    }

    fn query(&mut self, client: Client, bytes: &[u8], out: &mut Out<'_>) {
        if !self.settings.clients.iter().any(|prefix| prefix.contains_address(client.peer.ip())) {
            self.counts.strangers += 1;
            return;
        }
        self.counts.queries += 1;
        let query = match Query::read(bytes) {
            Ok(query) => query,
            Err(Unasked::Silence) => return,
            Err(Unasked::Answer(answer)) => return out.answer(client, answer),
        };
        let (id, over_stream) = (query.id(), client.stream.is_some());
        let key = (query.content().to_vec(), over_stream);
        let known = self.questions.get(&key).copied();
        let asked = known.and_then(|ask| self.asked.get_mut(&ask));
        // it has asked already and is impatient
        if asked.as_ref().is_some_and(|asked| asked.waiters.contains(&(client, id))) {
            return;
        }
        let here = self.waiting.get(&client.peer.ip()).copied().unwrap_or_default();
        if here >= WAITING_PER_CLIENT || self.waiting_all >= WAITING_MAX || self.settings.resolvers == 0 {
            self.counts.crowded += 1;
            return out.answer(client, query.failure(ResponseCode::ServFail));
        }
        *self.waiting.entry(client.peer.ip()).or_default() += 1;
        self.waiting_all += 1;
        if let Some(asked) = asked {
            asked.waiters.push((client, id));
            return;
        }
        let transport = if over_stream { Transport::Tcp } else { Transport::Udp };
        let asked = Asked {
            query,
            over_stream,
            waiters: vec![(client, id)],
            resolver: self.first % self.settings.resolvers,
            transport,
            id: 0,
            tries: 0,
            wrong: 0,
            until: Moment::ZERO,
        };
        self.ask(asked, out);
    }

    /// Asks, from a new socket with a new id.
    fn ask(&mut self, mut asked: Asked, out: &mut Out<'_>) {
        self.next += 1;
        let ask = self.next;
        asked.id = (out.chance)();
        asked.wrong = 0;
        asked.until = out.now + if asked.transport == Transport::Udp { UDP_WAIT } else { TCP_WAIT };
        let bytes = answer::with_id(asked.query.bytes.clone(), asked.id.to_be_bytes());
        out.actions.push(Action::Ask(ask, asked.resolver, asked.transport, bytes));
        self.questions.insert((asked.query.content().to_vec(), asked.over_stream), ask);
        self.timers.insert((asked.until, ask));
        self.asked.insert(ask, asked);
    }

    /// Takes a question from its socket.
    fn take(&mut self, ask: Ask, out: &mut Out<'_>) -> Option<Asked> {
        let asked = self.asked.remove(&ask)?;
        self.timers.remove(&(asked.until, ask));
        self.questions.remove(&(asked.query.content().to_vec(), asked.over_stream));
        out.actions.push(Action::Close(ask));
        Some(asked)
    }

    /// The next resolver is asked, or nobody.
    fn elsewhere(&mut self, ask: Ask, out: &mut Out<'_>) {
        let Some(mut asked) = self.take(ask, out) else { return };
        self.counts.unanswered += 1;
        asked.tries += 1;
        let next = (asked.resolver + 1) % self.settings.resolvers.max(1);
        if asked.resolver == self.first {
            self.first = next;
        }
        if asked.tries >= TRIES {
            return self.fail(&asked.query, &asked.waiters, out);
        }
        asked.resolver = next;
        self.ask(asked, out);
    }

    fn over_tcp(&mut self, ask: Ask, out: &mut Out<'_>) {
        let Some(mut asked) = self.take(ask, out) else { return };
        self.counts.over_tcp += 1;
        asked.transport = Transport::Tcp;
        self.ask(asked, out);
    }

    fn reply(&mut self, ask: Ask, bytes: &[u8], out: &mut Out<'_>) {
        let Some(asked) = self.asked.get_mut(&ask) else { return };
        let over_udp = asked.transport == Transport::Udp;
        if !asked.query.is_answered_by(asked.id, bytes) {
            self.counts.wrong += 1;
            asked.wrong += 1;
            match (over_udp, asked.wrong >= WRONG_MAX) {
                (true, false) => {}
                (true, true) => self.over_tcp(ask, out),
                // the resolver itself said so
                (false, _) => self.elsewhere(ask, out),
            }
            return;
        }
        let can_do_better = self.settings.resolvers > 1 && asked.tries + 1 < TRIES;
        if matches!(answer::code(bytes), ResponseCode::ServFail | ResponseCode::Refused) && can_do_better {
            return self.elsewhere(ask, out);
        }
        let is_used = asked.query.name.as_ref().is_some_and(|name| !self.names.of(name).is_empty());
        let is_part = answer::is_truncated(bytes);
        if is_used && is_part && over_udp {
            return self.over_tcp(ask, out);
        }
        let Some(asked) = self.take(ask, out) else { return };
        if is_part && !is_used {
            self.counts.passed += 1;
            return self.tell(&asked.query, &asked.waiters, bytes, out);
        }
        match answer::read(bytes, &self.names, &self.settings.space, self.settings.book.cap) {
            // half of it can't be held
            Ok(_) if is_part => self.useless(&asked, None, out),
            Ok(found) => self.found(asked, found, bytes, out),
            // of no use to us, and it opens nothing
            Err(_) if !is_used => {
                self.counts.passed += 1;
                self.tell(&asked.query, &asked.waiters, bytes, out);
            }
            Err(why) => self.useless(&asked, Some(why), out),
        }
    }

    fn useless(&mut self, asked: &Asked, why: Option<Useless>, out: &mut Out<'_>) {
        self.counts.useless += 1;
        let name = asked.query.name.as_deref().unwrap_or_default();
        tracing::debug!(%name, why = %why.map_or_else(|| "it is not whole over TCP either".to_owned(), |why| why.to_string()), "an answer is useless");
        self.fail(&asked.query, &asked.waiters, out);
    }

    fn found(&mut self, asked: Asked, found: answer::Found, reply: &[u8], out: &mut Out<'_>) {
        self.note(&found.refused);
        if found.is_blocked() {
            self.counts.blocked += 1;
            return self.tell(&asked.query, &asked.waiters, &asked.query.blocked(), out);
        }
        let Some(bytes) = found.bytes else {
            self.counts.passed += 1;
            return self.tell(&asked.query, &asked.waiters, reply, out);
        };
        self.counts.resolved += 1;
        let Ok(mut needs) = self.book.want(&found.addresses, out.now) else {
            self.counts.not_held += 1;
            return self.fail(&asked.query, &asked.waiters, out);
        };
        needs.retain(|(pair, needed)| self.book.standing(pair, *needed) != Standing::Held);
        if needs.is_empty() {
            return self.tell(&asked.query, &asked.waiters, &bytes, out);
        }
        if self.held_bytes + bytes.len() > HELD_BYTES {
            self.counts.not_held += 1;
            return self.fail(&asked.query, &asked.waiters, out);
        }
        self.counts.held += 1;
        self.held_bytes += bytes.len();
        self.held.push_back(Held { query: asked.query, waiters: asked.waiters, bytes, needs, until: out.now + HOLD_MOST });
    }

    /// Remembers what was left out, and says so once.
    fn note(&mut self, refused: &[(Fqdn, IpAddr, Refusal)]) {
        for (fqdn, address, refusal) in refused {
            if let Some(count) = Refusal::ALL.iter().position(|one| one == refusal).and_then(|at| self.counts.refused.get_mut(at)) {
                *count += 1;
            }
            if self.refusals.insert(fqdn.clone(), (*address, *refusal)).is_none() {
                tracing::warn!(%fqdn, %address, why = %refusal, "an answer has an address that it may not open");
            }
        }
    }

    /// Lets go of the answers whose addresses are all in the kernel.
    fn release(&mut self, out: &mut Out<'_>) {
        for mut held in std::mem::take(&mut self.held) {
            let mut is_lost = false;
            let (book, names) = (&self.book, &self.names);
            held.needs.retain(|(pair, needed)| match book.standing(pair, *needed) {
                Standing::Held => false,
                Standing::Awaited => true,
                // without a rule there is nothing to open; with one, it had to make room
                Standing::Gone => {
                    is_lost |= names.all().contains(&pair.0);
                    true
                }
            });
            held.needs.retain(|(pair, _)| self.names.all().contains(&pair.0));
            if is_lost || held.needs.is_empty() {
                self.let_go(&held, !is_lost, out);
            } else {
                self.held.push_back(held);
            }
        }
    }

    fn let_go(&mut self, held: &Held, is_in_kernel: bool, out: &mut Out<'_>) {
        self.held_bytes -= held.bytes.len();
        if is_in_kernel {
            self.tell(&held.query, &held.waiters, &held.bytes, out);
        } else {
            self.counts.not_held += 1;
            self.fail(&held.query, &held.waiters, out);
        }
    }

    fn pass_time(&mut self, out: &mut Out<'_>) {
        while let Some((_, ask)) = self.timers.first().filter(|(until, _)| *until <= out.now).copied() {
            self.elsewhere(ask, out);
        }
        while let Some(held) = self.held.pop_front_if(|held| held.until <= out.now) {
            self.let_go(&held, false, out);
        }
        if self.tidied + TIDY <= out.now {
            self.tidied = out.now;
            self.book.expire(out.now);
        }
    }

    fn fail(&mut self, query: &Query, waiters: &[(Client, [u8; 2])], out: &mut Out<'_>) {
        self.tell(query, waiters, &query.failure(ResponseCode::ServFail), out);
    }

    fn tell(&mut self, query: &Query, waiters: &[(Client, [u8; 2])], bytes: &[u8], out: &mut Out<'_>) {
        for (client, id) in waiters {
            let fits = client.stream.is_some() || bytes.len() <= query.limit;
            out.answer(*client, answer::with_id(if fits { bytes.to_vec() } else { query.truncated() }, *id));
            self.waiting_all -= 1;
            if let Some(here) = self.waiting.get_mut(&client.peer.ip()) {
                *here -= 1;
                if *here == 0 {
                    self.waiting.remove(&client.peer.ip());
                }
            }
        }
    }
}

/// Where actions go.
struct Out<'o> {
    now: Moment,
    chance: &'o mut dyn FnMut() -> u16,
    actions: &'o mut Vec<Action>,
}

impl Out<'_> {
    fn answer(&mut self, client: Client, bytes: Vec<u8>) {
        self.actions.push(Action::Answer(client, bytes));
    }
}
