//! Bytes of clients and of resolvers: nothing panics, no address of private space or of no rule comes out, what we write can be read, and everything that waits ends.
#![no_main]

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use leafwall_dns::answer::{Query, Unasked, read};
use leafwall_dns::names::Names;
use leafwall_dns::proxy::{Action, Client, Event, Proxy, Settings};
use leafwall_dns::space::Space;
use libfuzzer_sys::fuzz_target;

static NAMES: LazyLock<Names> =
    LazyLock::new(|| Names::new(["*.example.com", "example.com", "cdn.example.net"].into_iter().filter_map(|name| name.parse().ok())));

/// The longest that anything waits: tries at resolvers, and then the kernel.
const LONG: Duration = Duration::from_secs(20);

// a length, a query of it, and replies, each with its length in front
fuzz_target!(|bytes: &[u8]| {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some((length, behind)) = rest.split_first_chunk::<2>() {
        let (part, behind) = behind.split_at(usize::from(u16::from_be_bytes(*length)).min(behind.len()));
        parts.push(part);
        rest = behind;
    }
    let space = Space::default();
    for part in &parts {
        if let Ok(found) = read(part, &NAMES, &space, 3600) {
            for (fqdn, address, ttl) in &found.addresses {
                assert!(NAMES.all().contains(fqdn) && space.judge(*address).is_ok() && *ttl <= 3600);
            }
            // what clients get says the same when it is read again
            if let Some(bytes) = found.bytes {
                let again = read(&bytes, &NAMES, &space, 3600).expect("what was written can be read");
                assert_eq!(again.addresses, found.addresses);
                assert!(again.refused.is_empty());
            }
        }
    }
    let clients = vec!["10.0.0.0/8".parse().expect("a prefix")];
    let mut proxy = Proxy::new(Settings { resolvers: 2, clients, ..Settings::default() }, NAMES.clone(), []);
    let client = |stream| Client { listener: 0, peer: SocketAddr::from(([10, 0, 0, 1], 1000)), stream };
    let mut now = Duration::ZERO;
    let mut open = Vec::new();
    let mut answered = 0;
    let mut asked = 0;
    for (at, part) in parts.iter().enumerate() {
        let is_query = at == 0 || at % 5 == 4;
        asked += usize::from(is_query);
        if is_query {
            if let Err(Unasked::Answer(answer)) = Query::read(part) {
                assert!(answer.len() <= part.len().max(12) + 17, "no answer of ours is much longer than its question");
            }
        }
        let event = match open.last() {
            Some(ask) if !is_query => Event::Reply(*ask, part),
            _ => Event::Query(client((at % 2 == 1).then_some(1)), part),
        };
        asked += usize::from(!is_query && matches!(event, Event::Query(..)));
        // the reply's own id, so that some fit
        let id = parts.get(at + 1).and_then(|next| next.first_chunk()).map_or(0, |id| u16::from_be_bytes(*id));
        let mut actions = proxy.handle(event, now, &mut || id);
        while let Some(action) = actions.pop() {
            match action {
                Action::Ask(ask, ..) => open.push(ask),
                Action::Close(ask) => open.retain(|other| *other != ask),
                Action::Answer(..) => answered += 1,
                Action::Tell(_) => actions.extend(proxy.handle(Event::Settled(at % 3 != 0), now, &mut || id)),
            }
        }
        now += Duration::from_millis(100);
    }
    for _ in 0..10 {
        now += LONG;
        let actions = proxy.handle(Event::Time, now, &mut || 1);
        answered += actions.iter().filter(|action| matches!(action, Action::Answer(..))).count();
    }
    assert!(answered <= asked && proxy.waiting() == 0);
});
