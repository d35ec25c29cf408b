use std::net::SocketAddr;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query as Asked};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A proxy with its world: what it said, in order.
struct Tried {
    proxy: Proxy,
    now: Moment,
    id: u16,
    actions: Vec<Action>,
}

impl Tried {
    fn new(resolvers: usize) -> Self {
        let settings = Settings { resolvers, clients: vec!["10.0.0.0/22".parse().unwrap()], ..Settings::default() };
        let names = Names::new(["*.example.com".parse().unwrap()]);
        Self { proxy: Proxy::new(settings, names, []), now: Moment::ZERO, id: 100, actions: Vec::new() }
    }

    fn tell(&mut self, event: Event<'_>) -> Vec<Action> {
        let id = &mut self.id;
        let made = self.proxy.handle(event, self.now, &mut || {
            *id += 1;
            *id
        });
        self.actions = made;
        std::mem::take(&mut self.actions)
    }

    fn later(&mut self, by: Duration) -> Vec<Action> {
        self.now += by;
        self.tell(Event::Time)
    }

    /// Asks over UDP; the socket's number and the id to the resolver.
    fn ask(&mut self, from: Client, name: &str) -> (Ask, u16) {
        let made = self.tell(Event::Query(from, &query(name, 7)));
        asked(&made)
    }
}

fn asked(actions: &[Action]) -> (Ask, u16) {
    let found = actions.iter().find_map(|action| match action {
        Action::Ask(ask, _, _, bytes) => Some((*ask, u16::from_be_bytes([bytes[0], bytes[1]]))),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("nobody is asked: {actions:?}"))
}

fn answers(actions: &[Action]) -> Vec<(Client, Message)> {
    let read = |action: &Action| match action {
        Action::Answer(client, bytes) => Some((*client, Message::from_vec(bytes).unwrap())),
        _ => None,
    };
    actions.iter().filter_map(read).collect()
}

fn code(actions: &[Action]) -> ResponseCode {
    let all = answers(actions);
    assert_eq!(all.len(), 1, "{actions:?}");
    all[0].1.metadata.response_code
}

fn client(last: u8, port: u16) -> Client {
    Client { listener: 0, peer: SocketAddr::from(([10, 0, 0, last], port)), stream: None }
}

fn query(name: &str, id: u16) -> Vec<u8> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.add_query(Asked::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message.to_vec().unwrap()
}

fn reply(name: &str, id: u16, addresses: &[[u8; 4]], truncated: bool) -> Vec<u8> {
    let mut message = Message::response(id, OpCode::Query);
    message.metadata.truncation = truncated;
    message.add_query(Asked::query(Name::from_ascii(name).unwrap(), RecordType::A));
    let record = |octets: &[u8; 4]| Record::from_rdata(Name::from_ascii(name).unwrap(), 5, RData::A(A((*octets).into())));
    message.add_answers(addresses.iter().map(record));
    message.to_vec().unwrap()
}

fn told(actions: &[Action]) -> Option<&Change> {
    actions.iter().find_map(|action| if let Action::Tell(change) = action { Some(change) } else { None })
}

const FAR: [u8; 4] = [198, 51, 100, 1];

#[test]
fn f14_an_answer_waits_until_the_kernel_has_it_and_the_next_one_does_not() {
    let mut tried = Tried::new(1);
    let (ask, id) = tried.ask(client(1, 1000), "a.example.com.");
    let made = tried.tell(Event::Reply(ask, &reply("a.example.com.", id, &[FAR], false)));
    assert!(answers(&made).is_empty(), "{made:?}");
    assert_eq!(told(&made).unwrap().add.len(), 1);
    let made = tried.tell(Event::Settled(true));
    let (to, message) = answers(&made).remove(0);
    assert_eq!((to, message.metadata.id, message.answers.len()), (client(1, 1000), 7, 1));
    let (ask, id) = tried.ask(client(2, 1000), "a.example.com.");
    let made = tried.tell(Event::Reply(ask, &reply("a.example.com.", id, &[FAR], false)));
    assert_eq!((code(&made), told(&made)), (ResponseCode::NoError, None));
    assert_eq!((tried.proxy.counts().resolved, tried.proxy.counts().held, tried.proxy.waiting()), (2, 1, 0));
}

#[test]
fn f14_an_answer_that_the_kernel_does_not_take_becomes_a_failure_and_never_passes() {
    let mut tried = Tried::new(1);
    let (ask, id) = tried.ask(client(1, 1000), "a.example.com.");
    tried.tell(Event::Reply(ask, &reply("a.example.com.", id, &[FAR], false)));
    assert!(answers(&tried.tell(Event::Settled(false))).is_empty());
    assert!(told(&tried.later(SECOND)).is_some(), "it is told again");
    assert_eq!(code(&tried.later(HOLD_MOST)), ResponseCode::ServFail);
    assert_eq!((tried.proxy.counts().not_held, tried.proxy.waiting()), (1, 0));
    // late, but there: the next one has it at once
    tried.tell(Event::Settled(true));
    let (ask, id) = tried.ask(client(1, 1000), "a.example.com.");
    assert_eq!(code(&tried.tell(Event::Reply(ask, &reply("a.example.com.", id, &[FAR], false)))), ResponseCode::NoError);
}

#[test]
fn other_names_pass_as_they_came_and_are_not_kept() {
    let mut tried = Tried::new(1);
    let (ask, id) = tried.ask(client(1, 1000), "www.example.org.");
    let sent = reply("www.example.org.", id, &[[10, 0, 0, 1]], false);
    let made = tried.tell(Event::Reply(ask, &sent));
    assert!(made.contains(&Action::Answer(client(1, 1000), answer::with_id(sent, [0, 7]))), "{made:?}");
    assert!(tried.proxy.book().is_empty());
}

#[test]
fn f14_a_truncated_answer_is_asked_for_over_tcp_and_clients_do_the_same() {
    let mut tried = Tried::new(1);
    let many: Vec<[u8; 4]> = (0..=250).map(|last| [198, 51, 100, last]).chain((0..=249).map(|last| [192, 0, 2, last])).collect();
    let (ask, id) = tried.ask(client(1, 1000), "many.example.com.");
    let made = tried.tell(Event::Reply(ask, &reply("many.example.com.", id, &many[..20], true)));
    assert!(matches!(made[..], [Action::Close(_), Action::Ask(_, 0, Transport::Tcp, _)]), "{made:?}");
    let (ask, id) = asked(&made);
    let made = tried.tell(Event::Reply(ask, &reply("many.example.com.", id, &many, false)));
    assert_eq!(told(&made).unwrap().add.len(), many.len(), "all of them, before anybody has the answer");
    let (_, message) = answers(&tried.tell(Event::Settled(true))).remove(0);
    assert!(message.metadata.truncation && message.answers.is_empty());
    let over_tcp = Client { stream: Some(1), ..client(1, 1001) };
    let (ask, id) = tried.ask(over_tcp, "many.example.com.");
    let (_, message) = answers(&tried.tell(Event::Reply(ask, &reply("many.example.com.", id, &many, false)))).remove(0);
    assert_eq!(message.answers.len(), many.len());
    // of a name of no rule it is the client that asks again
    let (ask, id) = tried.ask(client(1, 1000), "www.example.org.");
    let made = tried.tell(Event::Reply(ask, &reply("www.example.org.", id, &[FAR], true)));
    assert!(answers(&made)[0].1.metadata.truncation);
}

#[test]
fn replies_that_do_not_fit_are_nothing_and_many_of_them_change_the_way() {
    let mut tried = Tried::new(1);
    let (ask, id) = tried.ask(client(1, 1000), "a.example.com.");
    for guess in 1..u16::try_from(WRONG_MAX).unwrap() {
        assert_eq!(tried.tell(Event::Reply(ask, &reply("a.example.com.", id.wrapping_add(guess), &[FAR], false))), []);
    }
    let made = tried.tell(Event::Reply(ask, &reply("b.example.com.", id, &[FAR], false)));
    assert!(matches!(made[..], [Action::Close(_), Action::Ask(_, 0, Transport::Tcp, _)]), "{made:?}");
    assert_eq!(tried.tell(Event::Reply(ask, &reply("a.example.com.", id, &[FAR], false))), [], "the old socket's answer comes too late");
    assert!(tried.proxy.book().is_empty());
}

#[test]
fn a_dead_resolver_costs_a_second_and_then_nothing() {
    let mut tried = Tried::new(2);
    tried.ask(client(1, 1000), "a.example.com.");
    let made = tried.later(UDP_WAIT);
    assert!(matches!(made[..], [Action::Close(_), Action::Ask(_, 1, Transport::Udp, _)]), "{made:?}");
    let (ask, id) = asked(&made);
    tried.tell(Event::Reply(ask, &reply("a.example.com.", id, &[FAR], false)));
    let made = tried.tell(Event::Query(client(1, 1001), &query("b.example.com.", 9)));
    assert!(matches!(made[..], [Action::Ask(_, 1, Transport::Udp, _)]), "the one that answers comes first now: {made:?}");
    let mut tried = Tried::new(1);
    let (ask, _) = tried.ask(client(1, 1000), "a.example.com.");
    assert!(matches!(tried.tell(Event::Failed(ask))[..], [Action::Close(_), Action::Ask(..)]));
    tried.later(UDP_WAIT);
    assert_eq!(code(&tried.later(UDP_WAIT)), ResponseCode::ServFail);
    assert_eq!(tried.proxy.waiting(), 0);
}

#[test]
fn the_same_question_is_asked_once_and_everybody_has_the_answer_with_the_own_id() {
    let mut tried = Tried::new(1);
    let (ask, id) = tried.ask(client(1, 1000), "a.example.com.");
    assert_eq!(tried.tell(Event::Query(client(1, 1000), &query("a.example.com.", 7))), [], "impatience");
    assert_eq!(tried.tell(Event::Query(client(2, 1000), &query("a.example.com.", 8))), []);
    tried.tell(Event::Reply(ask, &reply("a.example.com.", id, &[FAR], false)));
    let all = answers(&tried.tell(Event::Settled(true)));
    assert_eq!(
        all.iter().map(|(to, message)| (to.peer.ip().to_string(), message.metadata.id)).collect::<Vec<_>>(),
        [("10.0.0.1".into(), 7), ("10.0.0.2".into(), 8)]
    );
}

#[test]
fn f06_private_answers_are_refused_with_the_reason_and_nothing_is_opened() {
    let mut tried = Tried::new(1);
    let mut message = Message::from_vec(&query("a.example.com.", 7)).unwrap();
    message.set_edns(Edns::new());
    let made = tried.tell(Event::Query(client(1, 1000), &message.to_vec().unwrap()));
    let (ask, id) = asked(&made);
    let made = tried.tell(Event::Reply(ask, &reply("a.example.com.", id, &[[192, 168, 1, 1]], false)));
    assert_eq!((code(&made), told(&made)), (ResponseCode::Refused, None));
    assert!(answers(&made)[0].1.edns.as_ref().is_some_and(|edns| !edns.options().options.is_empty()), "the extended error");
    assert_eq!((tried.proxy.counts().blocked, tried.proxy.counts().refused), (1, [0, 0, 1, 0]));
    assert_eq!(tried.proxy.refusals().len(), 1);
}

#[test]
fn no_open_resolver_and_no_flood_takes_everything() {
    let mut tried = Tried::new(1);
    let stranger = Client { peer: "192.0.2.1:53".parse().unwrap(), ..client(1, 1) };
    assert_eq!(tried.tell(Event::Query(stranger, &query("a.example.com.", 7))), []);
    let mut refused = 0;
    for number in 0..2 * WAITING_PER_CLIENT {
        let made = tried.tell(Event::Query(client(1, 1000), &query(&format!("n{number}.example.org."), 7)));
        refused += answers(&made).len();
    }
    assert_eq!((tried.proxy.waiting(), refused), (WAITING_PER_CLIENT, WAITING_PER_CLIENT));
    // another one is served
    tried.ask(client(2, 1000), "a.example.com.");
    for last in 3..=255 {
        for number in 0..30 {
            tried.tell(Event::Query(client(last, 1000), &query(&format!("n{number}.example.net."), u16::from(last))));
        }
    }
    assert_eq!(tried.proxy.waiting(), WAITING_MAX);
    for _ in 0..TRIES {
        tried.later(UDP_WAIT);
    }
    assert_eq!((tried.proxy.waiting(), tried.proxy.waiting.len(), tried.proxy.timers.len(), tried.proxy.questions.len()), (0, 0, 0, 0));
}

#[test]
fn what_was_known_before_a_restart_is_known_at_once_after_the_kernel_was_told_again() {
    let settings = Settings { resolvers: 1, clients: vec!["10.0.0.0/22".parse().unwrap()], ..Settings::default() };
    let names = Names::new(["*.example.com".parse().unwrap()]);
    let kept = [("*.example.com", "198.51.100.1"), ("*.example.com", "10.9.9.9"), ("gone.example.net", "198.51.100.2")];
    let kept = kept.map(|(name, address)| (name.parse().unwrap(), address.parse().unwrap(), 1200 * SECOND));
    let mut tried = Tried { proxy: Proxy::new(settings, names, kept), ..Tried::new(1) };
    let made = tried.tell(Event::Time);
    assert_eq!(
        told(&made).unwrap().add,
        [("*.example.com".parse().unwrap(), IpAddr::from(FAR), 1201 * SECOND)],
        "neither a private one nor one of no rule"
    );
    tried.tell(Event::Settled(true));
    let (ask, id) = tried.ask(client(1, 1000), "a.example.com.");
    assert_eq!(code(&tried.tell(Event::Reply(ask, &reply("a.example.com.", id, &[FAR], false)))), ResponseCode::NoError);
}

#[test]
fn an_answer_that_waits_for_a_rule_that_goes_does_not_wait_on() {
    let mut tried = Tried::new(1);
    let (ask, id) = tried.ask(client(1, 1000), "a.example.com.");
    tried.tell(Event::Reply(ask, &reply("a.example.com.", id, &[FAR], false)));
    let made = tried.tell(Event::Names(Names::default()));
    assert_eq!(code(&made), ResponseCode::NoError);
    assert!(tried.proxy.book().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    /// Clients, resolvers, the kernel and liars in any order: an address reaches a client only while the kernel has it, every query is answered once at most, and in the end nothing waits.
    #[test]
    fn f14_nobody_is_told_an_address_that_the_kernel_does_not_have(events in prop::collection::vec((0_u8..8, 0_u8..4, 0_u8..6, 0_u16..700), 1..150)) {
        let mut tried = Tried::new(2);
        let mut open: Vec<(Ask, u16, String, bool)> = Vec::new();
        let mut under_way: Option<Change> = None;
        let mut kernel: BTreeMap<IpAddr, Moment> = BTreeMap::new();
        let (mut sent, mut got) = (0_usize, 0_usize);
        for (what, name, which, time) in events {
            let text = format!("n{name}.example.{}.", if name == 3 { "org" } else { "com" });
            let made = match what {
                0..=2 => { sent += 1; tried.tell(Event::Query(client(which, 1000 + time), &query(&text, time))) }
                3 | 4 if !open.is_empty() => {
                    let (ask, id, name, _) = open[usize::from(which) % open.len()].clone();
                    tried.tell(Event::Reply(ask, &reply(&name, id, &[[198, 51, 100, which], [192, 168, 0, which]], time % 5 == 0)))
                }
                5 if !open.is_empty() => {
                    let (ask, id, name, _) = open[usize::from(which) % open.len()].clone();
                    let wrong = reply(&name, id.wrapping_add(time), &[FAR], false);
                    tried.tell(if time % 2 == 0 { Event::Failed(ask) } else { Event::Reply(ask, &wrong) })
                }
                6 => match under_way.take() {
                    None => Vec::new(),
                    Some(change) => {
                        let works = time % 4 != 0;
                        if works {
                            kernel.retain(|address, _| !change.remove.iter().any(|(_, gone)| gone == address));
                            kernel.extend(change.add.iter().map(|(_, address, lasts)| (*address, tried.now + *lasts)));
                        }
                        tried.tell(Event::Settled(works))
                    }
                },
                _ => tried.later(Duration::from_millis(time.into()) * if which == 0 { 1000 } else { 1 }),
            };
            for action in made {
                match action {
                    Action::Ask(ask, _, transport, bytes) => {
                        let asked = Message::from_vec(&bytes).unwrap().queries[0].name().to_string();
                        open.push((ask, u16::from_be_bytes([bytes[0], bytes[1]]), asked, transport == Transport::Tcp));
                    }
                    Action::Close(ask) => open.retain(|(other, ..)| *other != ask),
                    Action::Tell(change) => { prop_assert!(under_way.is_none()); under_way = Some(change); }
                    Action::Answer(_, bytes) => {
                        got += 1;
                        let message = Message::from_vec(&bytes).unwrap();
                        if !message.queries[0].name().to_string().ends_with("com.") { continue }
                        for record in &message.answers {
                            let RData::A(address) = &record.data else { continue };
                            let until = kernel.get(&IpAddr::V4(address.0));
                            prop_assert!(until.is_some_and(|until| *until >= tried.now + Duration::from_secs(record.ttl.into())), "{} of {:?}", address, kernel);
                        }
                    }
                }
            }
        }
        for _ in 0..12 {
            got += answers(&tried.later(SECOND)).len();
        }
        prop_assert!(got <= sent);
        prop_assert_eq!((tried.proxy.waiting(), tried.proxy.held_bytes, tried.proxy.timers.len()), (0, 0, 0));
    }
}
