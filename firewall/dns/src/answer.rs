//! Messages: what a query asks, whether a reply answers it, and what it says of names that rules use.
//!
//! Whether a reply belongs to a query is decided on the bytes. What clients get of a name that rules use is written anew from what was read here, so that they and the
//! firewall can't understand it in two ways. Everything else passes as it came.

use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::svcb::{SVCB, SvcParamKey, SvcParamValue};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use leafwall_policy::rule::Fqdn;

use crate::names::{Names, written};
use crate::space::{Refusal, Space};

/// The header (RFC 1035 §4.1.1).
const HEADER: usize = 12;
/// A question's type and class.
const TYPE_AND_CLASS: usize = 4;
/// What a client takes over UDP that says nothing of it (RFC 1035 §4.2.1).
const PLAIN_LIMIT: usize = 512;
/// Our own limit over UDP: passes every path without fragments, which can be forged.
const UDP_LIMIT: usize = 1232;
/// Names on the way from the one asked for to its addresses. Resolvers give up at about this length.
pub const CHAIN_MAX: usize = 16;
/// Addresses of one answer, counted for each rule's name that it is of. A message has room for 4095.
pub const ADDRESSES_MAX: usize = 8192;

const RESPONSE: u8 = 0x80;
const OPCODE: u8 = 0x78;
const TRUNCATED: u8 = 0x02;
const RECURSION_DESIRED: u8 = 0x01;
const RECURSION_AVAILABLE: u8 = 0x80;
/// An OPT record (RFC 6891 §6.1.2) that takes [`UDP_LIMIT`] bytes: without options, and with the extended error "Blocked" (RFC 8914 §4.16).
const EDNS: [u8; 11] = [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0];
const EDNS_BLOCKED: [u8; 17] = [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 6, 0, 15, 0, 2, 0, 15];

/// A client's query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Where its question ends.
    end: usize,
    /// The name asked for, where a rule could have it.
    pub name: Option<String>,
    /// What is asked for.
    pub kind: RecordType,
    /// How many bytes the client takes over UDP.
    pub limit: usize,
    has_edns: bool,
}

/// What can't be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unasked {
    /// It is no query: whoever sent it gets nothing, or two machines could talk for ever.
    Silence,
    /// It gets this answer.
    Answer(Vec<u8>),
}

/// The bytes of a message's question and the end of it, where it has one that is not compressed.
fn question_end(bytes: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    loop {
        match usize::from(*bytes.get(at)?) {
            0 => break,
            length @ 1..=63 => at += 1 + length,
            _ => return None,
        }
    }
    let end = at + 1 + TYPE_AND_CLASS;
    (bytes.len() >= end).then_some(end)
}

impl Query {
    /// Reads what a client sent.
    pub fn read(bytes: &[u8]) -> Result<Self, Unasked> {
        let header = bytes.get(..HEADER).ok_or(Unasked::Silence)?;
        if header[2] & RESPONSE != 0 {
            return Err(Unasked::Silence);
        }
        let Some(end) = question_end(bytes).filter(|_| header[4..6] == [0, 1]) else {
            return Err(Unasked::Answer(composed(header, &[], ResponseCode::FormErr, 0, &[])));
        };
        let question = bytes.get(HEADER..end).unwrap_or_default();
        let refuse = |code| Unasked::Answer(composed(header, question, code, 0, &[]));
        if header[2] & OPCODE != 0 {
            return Err(refuse(ResponseCode::NotImp));
        }
        let message = Message::from_vec(bytes).map_err(|_| refuse(ResponseCode::FormErr))?;
        let Some(asked) = message.queries.first() else { return Err(refuse(ResponseCode::FormErr)) };
        if asked.query_class() != DNSClass::IN || matches!(asked.query_type(), RecordType::AXFR | RecordType::IXFR) {
            return Err(refuse(ResponseCode::Refused));
        }
        let limit = message.edns.as_ref().map_or(PLAIN_LIMIT, |edns| usize::from(edns.max_payload()).clamp(PLAIN_LIMIT, UDP_LIMIT));
        let (name, kind, has_edns) = (written(asked.name()), asked.query_type(), message.edns.is_some());
        Ok(Self { bytes: bytes.to_vec(), end, name, kind, limit, has_edns })
    }

    /// Its id.
    pub fn id(&self) -> [u8; 2] {
        self.bytes.first_chunk().copied().unwrap_or_default()
    }

    /// Everything but the id: two queries that are the same in it have the same answer.
    pub fn content(&self) -> &[u8] {
        self.bytes.get(2..).unwrap_or_default()
    }

    fn question(&self) -> &[u8] {
        self.bytes.get(HEADER..self.end).unwrap_or_default()
    }

    /// Whether this is a reply to the query, which was sent with that id: an answer, to this question and no other.
    pub fn is_answered_by(&self, id: u16, reply: &[u8]) -> bool {
        let (Some(header), Some(question)) = (reply.get(..HEADER), reply.get(HEADER..self.end)) else { return false };
        let (name, kind) = question.split_at(question.len().saturating_sub(TYPE_AND_CLASS));
        let (asked_name, asked_kind) = self.question().split_at(self.question().len().saturating_sub(TYPE_AND_CLASS));
        header[..2] == id.to_be_bytes()
            && header[2] & RESPONSE != 0
            && header[2] & OPCODE == 0
            && header[4..6] == [0, 1]
            && name.eq_ignore_ascii_case(asked_name)
            && kind == asked_kind
    }

    /// An answer without records.
    pub fn failure(&self, code: ResponseCode) -> Vec<u8> {
        self.composed(code, 0, &EDNS)
    }

    /// The answer that the name has no address which this firewall would let anybody reach.
    pub fn blocked(&self) -> Vec<u8> {
        self.composed(ResponseCode::Refused, 0, &EDNS_BLOCKED)
    }

    /// The answer that the whole one is to be asked for over TCP.
    pub fn truncated(&self) -> Vec<u8> {
        self.composed(ResponseCode::NoError, TRUNCATED, &EDNS)
    }

    fn composed(&self, code: ResponseCode, flags: u8, edns: &[u8]) -> Vec<u8> {
        // a client that does not know EDNS gets none
        composed(&self.bytes, self.question(), code, flags, if self.has_edns { edns } else { &[] })
    }
}

/// A message of a query's header, its question and one record at most.
fn composed(header: &[u8], question: &[u8], code: ResponseCode, flags: u8, record: &[u8]) -> Vec<u8> {
    let mut bytes = header.get(..2).unwrap_or_default().to_vec();
    let asked = header.get(2).copied().unwrap_or_default();
    bytes.push(RESPONSE | (asked & (OPCODE | RECURSION_DESIRED)) | flags);
    bytes.push(RECURSION_AVAILABLE | code.low());
    bytes.extend([0, u8::from(!question.is_empty()), 0, 0, 0, 0, 0, u8::from(!record.is_empty())]);
    bytes.extend(question);
    bytes.extend(record);
    bytes
}

/// A message with another id.
pub fn with_id(mut bytes: Vec<u8>, id: [u8; 2]) -> Vec<u8> {
    if let Some(place) = bytes.first_chunk_mut() {
        *place = id;
    }
    bytes
}

/// Whether a reply says that it is not all.
pub fn is_truncated(reply: &[u8]) -> bool {
    reply.get(2).is_some_and(|flags| flags & TRUNCATED != 0)
}

/// A reply's response code, without what EDNS adds to it.
pub fn code(reply: &[u8]) -> ResponseCode {
    ResponseCode::from_low(reply.get(3).copied().unwrap_or_default() & 0x0f)
}

/// What a reply says of names that rules use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The rules' names, each with an address and for how many seconds a client may use it.
    pub addresses: Vec<(Fqdn, IpAddr, u32)>,
    /// What was left out.
    pub refused: Vec<(Fqdn, IpAddr, Refusal)>,
    /// The message as clients get it; `None` where no rule has the name: as it came.
    pub bytes: Option<Vec<u8>>,
}

impl Found {
    /// Whether there were addresses and none is left.
    pub fn is_blocked(&self) -> bool {
        self.addresses.is_empty() && !self.refused.is_empty()
    }
}

/// What makes a reply useless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Useless {
    /// It can't be read.
    #[error("the answer can't be read")]
    Malformed,
    /// Names that lead to each other.
    #[error("the names of the answer lead in a circle")]
    Circle,
    /// Too many of them.
    #[error("more than {CHAIN_MAX} names lead from the one asked for to its addresses")]
    TooLong,
    /// Too many addresses.
    #[error("more than {ADDRESSES_MAX} addresses, each counted for every rule's name that has it")]
    TooMany,
}

/// Reads a reply. No record lives longer than `cap` seconds.
pub fn read(reply: &[u8], names: &Names, space: &Space, cap: u32) -> Result<Found, Useless> {
    let mut message = Message::from_vec(reply).map_err(|_| Useless::Malformed)?;
    // records of updates (RFC 2136) may be empty, which no answer's are
    if message.metadata.message_type != MessageType::Response || message.metadata.op_code != OpCode::Query {
        return Err(Useless::Malformed);
    }
    let asked = message.queries.first().ok_or(Useless::Malformed)?.name().clone();
    let chain = chain(&asked, &message.answers)?;
    let mut fqdns: Vec<Fqdn> = chain.iter().filter_map(written).flat_map(|name| names.of(&name)).collect();
    fqdns.sort_unstable();
    fqdns.dedup();
    if fqdns.is_empty() {
        return Ok(Found::default());
    }
    let mut found = Found::default();
    let end = chain.last().unwrap_or(&asked).clone();
    let mut kept = Vec::with_capacity(message.answers.len());
    for mut record in std::mem::take(&mut message.answers) {
        record.ttl = record.ttl.min(cap);
        let Some(address) = address(&record) else {
            kept.extend(without_hints(record));
            continue;
        };
        // what is beside the way is nobody's
        if record.name != end || record.dns_class != DNSClass::IN {
            continue;
        }
        match space.judge(address) {
            Ok(()) => {
                found.addresses.extend(fqdns.iter().map(|fqdn| (fqdn.clone(), address, record.ttl)));
                kept.push(record);
            }
            Err(refusal) => found.refused.extend(fqdns.iter().map(|fqdn| (fqdn.clone(), address, refusal))),
        }
        if found.addresses.len() + found.refused.len() > ADDRESSES_MAX {
            return Err(Useless::TooMany);
        }
    }
    message.answers = kept;
    // clients would ask for what they miss
    message.additionals.retain(|record| address(record).is_none() && service(record).is_none());
    message.metadata.authentic_data &= found.refused.is_empty();
    found.bytes = Some(message.to_vec().map_err(|_| Useless::Malformed)?);
    Ok(found)
}

/// The names from the one asked for to the one that has the addresses.
fn chain(asked: &Name, answers: &[Record]) -> Result<Vec<Name>, Useless> {
    let mut chain = vec![asked.clone()];
    loop {
        let last = chain.last().unwrap_or(asked);
        let next =
            answers.iter().filter(|record| record.name == *last && record.dns_class == DNSClass::IN).find_map(|record| {
                match &record.data {
                    RData::CNAME(target) => Some(&target.0),
                    _ => None,
                }
            });
        match next {
            None => return Ok(chain),
            Some(next) if chain.contains(next) => return Err(Useless::Circle),
            Some(_) if chain.len() == CHAIN_MAX => return Err(Useless::TooLong),
            Some(next) => chain.push(next.clone()),
        }
    }
}

fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(address) => Some(address.0.into()),
        RData::AAAA(address) => Some(address.0.into()),
        _ => None,
    }
}

fn service(record: &Record) -> Option<&SVCB> {
    match &record.data {
        RData::SVCB(service) => Some(service),
        RData::HTTPS(service) => Some(&service.0),
        _ => None,
    }
}

/// A record without addresses that a client could use instead of asking for them (RFC 9460 §7.3). One that insists on them goes.
fn without_hints(mut record: Record) -> Option<Record> {
    let is_hint = |key: &SvcParamKey| matches!(key, SvcParamKey::Ipv4Hint | SvcParamKey::Ipv6Hint);
    let service = match &mut record.data {
        RData::SVCB(service) => service,
        RData::HTTPS(service) => &mut service.0,
        _ => return Some(record),
    };
    if service.svc_params.iter().any(|(_, value)| matches!(value, SvcParamValue::Mandatory(keys) if keys.0.iter().any(is_hint))) {
        return None;
    }
    service.svc_params.retain(|(key, _)| !is_hint(key));
    Some(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::{Edns, Query as Asked};
    use hickory_proto::rr::rdata::svcb::IpHint;
    use hickory_proto::rr::rdata::{A, AAAA, CNAME, HTTPS};
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn query(text: &str, kind: RecordType) -> Query {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.add_query(Asked::query(name(text), kind));
        Query::read(&message.to_vec().unwrap()).unwrap()
    }

    fn reply(asked: &str, records: &[(&str, RData)]) -> Vec<u8> {
        let mut message = Message::response(7, OpCode::Query);
        message.add_query(Asked::query(name(asked), RecordType::A));
        message.add_answers(records.iter().map(|(owner, data)| Record::from_rdata(name(owner), 86_400, data.clone())));
        message.add_additional(Record::from_rdata(name("other.example.com."), 60, v4(9)));
        message.to_vec().unwrap()
    }

    fn v4(last: u8) -> RData {
        RData::A(A::new(198, 51, 100, last))
    }

    fn cname(target: &str) -> RData {
        RData::CNAME(CNAME(name(target)))
    }

    fn found(asked: &str, records: &[(&str, RData)]) -> Result<Found, Useless> {
        let names = Names::new(["*.example.com", "cdn.example.net"].map(|text| text.parse().unwrap()));
        read(&reply(asked, records), &names, &Space::default(), 3600)
    }

    fn told(found: &Found) -> Vec<String> {
        found.addresses.iter().map(|(fqdn, address, ttl)| format!("{fqdn} {address} {ttl}")).collect()
    }

    #[test]
    fn addresses_are_those_at_the_end_of_the_way_for_every_name_on_it() {
        let records = [
            ("www.example.com.", cname("CDN.example.net.")),
            ("cdn.example.net.", cname("edge.example.org.")),
            ("edge.example.org.", v4(1)),
            ("edge.example.org.", v4(2)),
            ("stray.example.com.", v4(3)),
        ];
        let found = found("www.example.com.", &records).unwrap();
        let expected = [
            "*.example.com 198.51.100.1 3600",
            "cdn.example.net 198.51.100.1 3600",
            "*.example.com 198.51.100.2 3600",
            "cdn.example.net 198.51.100.2 3600",
        ];
        assert_eq!(told(&found), expected);
        let message = Message::from_vec(&found.bytes.unwrap()).unwrap();
        assert_eq!((message.answers.len(), message.additionals.len()), (4, 0), "neither the stray record nor what is beside");
        assert!(message.answers.iter().all(|record| record.ttl <= 3600));
    }

    #[test]
    fn what_is_no_answer_to_a_query_is_useless() {
        let names = Names::new(["*.example.com".parse().unwrap()]);
        let good = reply("a.example.com.", &[("a.example.com.", v4(1))]);
        let with_flags = |flags: u8| {
            let mut bytes = good.clone();
            bytes[2] = flags;
            read(&bytes, &names, &Space::default(), 3600).map(|_| ())
        };
        assert_eq!(with_flags(RESPONSE), Ok(()));
        assert_eq!(with_flags(0), Err(Useless::Malformed), "a query");
        assert_eq!(with_flags(RESPONSE | 5 << 3), Err(Useless::Malformed), "an update");
    }

    #[test]
    fn names_of_no_rule_pass_as_they_came() {
        assert_eq!(found("www.example.org.", &[("www.example.org.", v4(1))]), Ok(Found::default()));
    }

    #[test]
    fn circles_and_long_ways_are_useless() {
        let circle = [("a.example.com.", cname("b.example.com.")), ("b.example.com.", cname("a.example.com."))];
        assert_eq!(found("a.example.com.", &circle), Err(Useless::Circle));
        let names: Vec<String> = (0..=CHAIN_MAX).map(|number| format!("n{number}.example.com.")).collect();
        let way = |length: usize| names.windows(2).take(length).map(|pair| (pair[0].as_str(), cname(&pair[1]))).collect::<Vec<_>>();
        assert_eq!(found("n0.example.com.", &way(CHAIN_MAX)), Err(Useless::TooLong));
        assert!(found("n0.example.com.", &way(CHAIN_MAX - 1)).is_ok());
    }

    #[test]
    fn f06_private_addresses_are_taken_out_and_what_is_left_passes() {
        let private = RData::A(A::new(10, 0, 0, 7));
        let mixed = found("a.example.com.", &[("a.example.com.", private.clone()), ("a.example.com.", v4(1))]).unwrap();
        assert_eq!((mixed.addresses.len(), mixed.refused.len(), mixed.is_blocked()), (1, 1, false));
        let message = Message::from_vec(&mixed.bytes.unwrap()).unwrap();
        assert_eq!(message.answers.iter().map(|record| record.data.clone()).collect::<Vec<_>>(), [v4(1)]);
        assert!(found("a.example.com.", &[("a.example.com.", private)]).unwrap().is_blocked());
        let loopback = RData::AAAA(AAAA::new(0, 0, 0, 0, 0, 0, 0, 1));
        assert!(found("a.example.com.", &[("a.example.com.", loopback)]).unwrap().is_blocked());
    }

    #[test]
    fn hints_are_taken_out_of_service_records() {
        let hint = (SvcParamKey::Ipv4Hint, SvcParamValue::Ipv4Hint(IpHint(vec![A::new(198, 51, 100, 1)])));
        let port = (SvcParamKey::Port, SvcParamValue::Port(8443));
        let service = RData::HTTPS(HTTPS(SVCB::new(1, Name::root(), vec![port.clone(), hint])));
        let found = found("a.example.com.", &[("a.example.com.", service)]).unwrap();
        let message = Message::from_vec(&found.bytes.unwrap()).unwrap();
        assert_eq!(message.answers[0].data, RData::HTTPS(HTTPS(SVCB::new(1, Name::root(), vec![port]))));
    }

    #[test]
    fn a_reply_must_have_the_id_and_the_question() {
        let asked = query("a.example.com.", RecordType::A);
        let good = reply("A.Example.COM.", &[]);
        assert!(asked.is_answered_by(7, &good));
        assert!(!asked.is_answered_by(8, &good), "another id");
        assert!(!asked.is_answered_by(7, &reply("b.example.com.", &[])), "another name");
        assert!(!asked.is_answered_by(7, &asked.bytes), "a query");
        assert!(!query("a.example.com.", RecordType::AAAA).is_answered_by(7, &good), "another type");
        // 0x41 and 0x61 are one letter, and two types
        let other = query("a.example.com.", RecordType::Unknown(0x41));
        assert!(!other.is_answered_by(7, &query("a.example.com.", RecordType::Unknown(0x61)).failure(ResponseCode::NoError)));
        assert!(!asked.is_answered_by(7, &good[..20]), "half of it");
    }

    #[test]
    fn what_is_no_query_gets_silence_and_what_is_a_bad_one_an_answer() {
        assert_eq!(Query::read(&[1, 2, 3]), Err(Unasked::Silence));
        assert_eq!(Query::read(&reply("a.example.com.", &[])), Err(Unasked::Silence));
        let code_of = |bytes: &[u8]| match Query::read(bytes) {
            Err(Unasked::Answer(answer)) => Message::from_vec(&answer).unwrap().metadata.response_code,
            other => panic!("{other:?}"),
        };
        assert_eq!(code_of(&[0, 1, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0]), ResponseCode::FormErr);
        let mut update = query("a.example.com.", RecordType::A).bytes;
        update[2] = 5 << 3;
        assert_eq!(code_of(&update), ResponseCode::NotImp);
        let mut transfer = Message::new(7, MessageType::Query, OpCode::Query);
        transfer.add_query(Asked::query(name("example.com."), RecordType::AXFR));
        assert_eq!(code_of(&transfer.to_vec().unwrap()), ResponseCode::Refused);
    }

    #[test]
    fn our_own_answers_can_be_read_with_and_without_edns() {
        for edns in [None, Some(Edns::new())] {
            let mut message = Message::new(7, MessageType::Query, OpCode::Query);
            message.add_query(Asked::query(name("a.example.com."), RecordType::A));
            message.edns.clone_from(&edns);
            let query = Query::read(&message.to_vec().unwrap()).unwrap();
            for (bytes, code, truncated) in [
                (query.failure(ResponseCode::ServFail), ResponseCode::ServFail, false),
                (query.blocked(), ResponseCode::Refused, false),
                (query.truncated(), ResponseCode::NoError, true),
            ] {
                let answer = Message::from_vec(&bytes).unwrap();
                assert_eq!(
                    (answer.metadata.response_code, answer.metadata.truncation, answer.edns.is_some()),
                    (code, truncated, edns.is_some())
                );
                assert!(query.is_answered_by(7, &bytes));
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0_usize..200, flip in 0_usize..200, to in any::<u8>()) {
            let names = Names::new(["*.example.com".parse().unwrap()]);
            let asked = query("a.example.com.", RecordType::A);
            let mut near = reply("a.example.com.", &[("a.example.com.", cname("b.example.com.")), ("b.example.com.", v4(1))]);
            if let Some(byte) = near.get_mut(flip) {
                *byte = to;
            }
            near.truncate(near.len().saturating_sub(cut));
            for bytes in [bytes, near] {
                let _ = Query::read(&bytes);
                asked.is_answered_by(7, &bytes);
                if let Ok(found) = read(&bytes, &names, &Space::default(), 3600) {
                    for (_, address, ttl) in found.addresses {
                        prop_assert!(Space::default().judge(address).is_ok() && ttl <= 3600);
                    }
                }
            }
        }
    }
}
