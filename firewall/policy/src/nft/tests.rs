//! Random trees come back as they were; listings of both versions read alike; errors point to their place.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use leafwall_topology::IfName;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn identifier() -> impl Strategy<Value = Identifier> {
    // small, so that names meet
    "[a-c_][a-c0-9_./-]{0,6}".prop_map(|text| Identifier::new(text).unwrap())
}

fn interface() -> impl Strategy<Value = IfName> {
    "[a-z][a-z0-9._-]{0,14}".prop_map(|text| text.parse().unwrap())
}

fn address(kind: DataType) -> BoxedStrategy<IpAddr> {
    if kind == DataType::Ipv4 {
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from(bits))).boxed()
    } else {
        prop_oneof![any::<u128>(), (0..2_u128.pow(33))].prop_map(|bits| IpAddr::V6(Ipv6Addr::from(bits))).boxed()
    }
}

/// A value; `single` for places that take no masks of several states.
fn value(kind: DataType, single: bool) -> BoxedStrategy<Value> {
    match kind {
        DataType::Ipv4 | DataType::Ipv6 => {
            let width: u8 = if kind == DataType::Ipv4 { 32 } else { 128 };
            let prefix = (address(kind), 0..=width)
                .prop_map(|(address, length)| Value::prefix(leafwall_topology::Prefix::containing(address, length).unwrap()));
            let range = (address(kind), address(kind)).prop_map(|(a, b)| Value::addresses(a.min(b), a.max(b)).unwrap());
            prop_oneof![address(kind).prop_map(Value::Address), prefix, range].boxed()
        }
        DataType::Service => {
            (any::<u16>(), any::<u16>()).prop_map(|(a, b)| Value::numbers(a.min(b).into(), a.max(b).into()).unwrap()).boxed()
        }
        DataType::Protocol | DataType::IcmpType | DataType::Icmpv6Type => {
            any::<u8>().prop_map(|number| Value::Number(number.into())).boxed()
        }
        DataType::Ether => any::<[u8; 6]>().prop_map(Value::Mac).boxed(),
        DataType::Interface => interface().prop_map(Value::Interface).boxed(),
        DataType::NfProto => prop_oneof![Just(2), Just(10)].prop_map(Value::Number).boxed(),
        DataType::CtState if single => {
            proptest::sample::select(CtState::ALL.to_vec()).prop_map(|(state, _)| Value::Number(state.bit())).boxed()
        }
        DataType::CtState => vec(proptest::sample::select(CtState::ALL.to_vec()), 1..4)
            .prop_map(|states| Value::Number(states.iter().fold(0, |bits, (state, _)| bits | state.bit())))
            .boxed(),
        DataType::Integer(bits) => {
            let maximum = DataType::Integer(bits).maximum().unwrap();
            (0..=maximum, 0..=maximum).prop_map(|(a, b)| Value::numbers(a.min(b), a.max(b)).unwrap()).boxed()
        }
    }
}

fn key(kinds: Vec<DataType>) -> BoxedStrategy<Key> {
    kinds.into_iter().fold(Just(Vec::new()).boxed(), |sofar, kind| {
        (sofar, value(kind, true))
            .prop_map(|(mut key, next)| {
                key.push(next);
                key
            })
            .boxed()
    })
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Accept),
        Just(Verdict::Drop),
        Just(Verdict::Return),
        identifier().prop_map(Verdict::Jump),
        identifier().prop_map(Verdict::Goto)
    ]
}

fn elements(kinds: Vec<DataType>) -> impl Strategy<Value = Elements> {
    let entries = vec((key(kinds.clone()), verdict()), 0..5).prop_map(Elements::verdicts);
    let counters = vec((key(kinds.clone()), identifier()), 0..5).prop_map(Elements::counters);
    prop_oneof![vec(key(kinds), 0..5).prop_map(Elements::values), entries, counters]
}

fn expression() -> impl Strategy<Value = Expression> {
    let field = prop_oneof![Just(IpField::Source), Just(IpField::Destination)];
    let transport = prop_oneof![Just(Transport::Tcp), Just(Transport::Udp), Just(Transport::Sctp), Just(Transport::Any)];
    let raw = (prop_oneof![Just(RawBase::Network), Just(RawBase::Transport)], any::<u16>(), 8..=64_u8);
    prop_oneof![
        Just(Expression::InputInterface),
        Just(Expression::OutputInterface),
        Just(Expression::NfProto),
        Just(Expression::L4Proto),
        Just(Expression::EtherSource),
        Just(Expression::HopLimit),
        Just(Expression::Ttl),
        Just(Expression::IcmpType),
        Just(Expression::Icmpv6Type),
        Just(Expression::CtState),
        field.clone().prop_map(Expression::Ip),
        field.prop_map(Expression::Ip6),
        transport.clone().prop_map(Expression::SourcePort),
        transport.prop_map(Expression::DestinationPort),
        raw.prop_map(|(base, offset, length)| Expression::Raw { base, offset, length }),
    ]
}

fn operator() -> impl Strategy<Value = Operator> {
    prop_oneof![Just(Operator::Equal), Just(Operator::NotEqual)]
}

fn comparison() -> impl Strategy<Value = Statement> {
    vec(expression(), 1..4).prop_flat_map(|left| {
        let kinds: Vec<DataType> = left.iter().map(|expression| expression.data_type()).collect();
        let named = identifier().prop_map(Operand::Named);
        let anonymous = vec(key(kinds.clone()), 0..5).prop_map(|keys| Operand::Anonymous(Elements::values(keys)));
        let right = match kinds.as_slice() {
            [kind] => prop_oneof![named, anonymous, value(*kind, false).prop_map(Operand::Value)].boxed(),
            _ => prop_oneof![named, anonymous].boxed(),
        };
        let map = prop_oneof![
            identifier().prop_map(Operand::Named),
            vec((key(kinds), verdict()), 0..5).prop_map(|entries| Operand::Anonymous(Elements::verdicts(entries)))
        ];
        let (same, also) = (left.clone(), left);
        prop_oneof![
            (operator(), right).prop_map(move |(operator, right)| Statement::Match { left: same.clone(), operator, right }),
            map.prop_map(move |map| Statement::VerdictMap { left: also.clone(), map }),
        ]
    })
}

fn limit() -> impl Strategy<Value = Limit> {
    let rate = prop_oneof![(1..=u64::MAX).prop_map(Rate::Packets), (1..=u64::MAX).prop_map(Rate::Bytes)];
    let per = proptest::sample::select(vec![TimeUnit::Second, TimeUnit::Minute, TimeUnit::Hour, TimeUnit::Day, TimeUnit::Week]);
    let mode = prop_oneof![Just(LimitMode::Within), Just(LimitMode::Over)];
    (mode, rate, per, any::<u32>()).prop_map(|(mode, rate, per, burst)| Limit { mode, rate, per, burst })
}

fn tcp_flags() -> impl Strategy<Value = TcpFlags> {
    (any::<u8>(), any::<u8>(), operator())
        .prop_map(|(mask, value, operator)| TcpFlags { mask, operator, value: value & mask })
        .prop_filter("two bits of mask, one of value", |flags| flags.mask.count_ones() > 1 && flags.value != 0)
}

fn snat() -> impl Strategy<Value = SnatTarget> {
    prop_oneof![
        any::<u32>().prop_map(|bits| SnatTarget::V4(bits.into())),
        any::<u128>().prop_map(|bits| SnatTarget::V6(bits.into())),
        (any::<u32>(), vec(any::<u32>(), 2..5))
            .prop_map(|(seed, all)| SnatTarget::SpreadV4 { seed, addresses: all.into_iter().map(Into::into).collect() }),
        (any::<u32>(), vec(any::<u128>(), 2..5))
            .prop_map(|(seed, all)| SnatTarget::SpreadV6 { seed, addresses: all.into_iter().map(Into::into).collect() }),
    ]
}

/// What a map of counters can look at: no raw bits and no state of conntrack.
fn counted() -> impl Strategy<Value = Expression> {
    expression().prop_filter("typed", |expression| !matches!(expression, Expression::Raw { .. } | Expression::CtState))
}

fn statement() -> impl Strategy<Value = Statement> {
    prop_oneof![
        6 => comparison(),
        1 => (vec(counted(), 1..4), identifier()).prop_map(|(left, map)| Statement::CounterMap { left, map }),
        1 => tcp_flags().prop_map(Statement::TcpFlags),
        1 => proptest::option::of(identifier()).prop_map(Statement::Counter),
        1 => limit().prop_map(Statement::Limit),
        1 => proptest::option::of("[a-zA-Z0-9 .:/_-]{1,40}".prop_map(|text| LogPrefix::new(text).unwrap())).prop_map(Statement::Log),
        1 => (identifier(), vec(expression(), 1..3)).prop_map(|(set, key)| Statement::Update { set, key }),
        1 => Just(Statement::NoTrack),
        1 => any::<u16>().prop_map(Statement::MaxSegment),
        1 => snat().prop_map(Statement::Snat),
        2 => verdict().prop_map(Statement::Verdict),
    ]
}

fn base_chain() -> impl Strategy<Value = BaseChain> {
    let kind = prop_oneof![Just(ChainKind::Filter), Just(ChainKind::Nat)];
    let hooks = vec![Hook::Ingress, Hook::Prerouting, Hook::Input, Hook::Forward, Hook::Output, Hook::Postrouting];
    let priority = prop_oneof![any::<i32>(), proptest::sample::select(vec![-300, -150, -100, 0, 10, 50, 100])];
    let policy = prop_oneof![Just(Policy::Accept), Just(Policy::Drop)];
    (kind, proptest::sample::select(hooks), proptest::option::of(interface()), priority, policy)
        .prop_map(|(kind, hook, device, priority, policy)| BaseChain { kind, hook, device, priority, policy })
}

fn chain() -> impl Strategy<Value = Chain> {
    let rule = vec(statement(), 1..5).prop_map(|statements| Rule { statements });
    (identifier(), proptest::option::of(base_chain()), vec(rule, 0..5)).prop_map(|(name, base, rules)| Chain { name, base, rules })
}

fn set() -> impl Strategy<Value = Set> {
    vec(proptest::sample::select(DataType::NAMED.to_vec()), 1..4).prop_flat_map(|key| {
        let flags = any::<(bool, bool, bool)>().prop_map(|(interval, timeout, dynamic)| SetFlags { interval, timeout, dynamic });
        (identifier(), flags, proptest::option::of(0..100_000_u64), proptest::option::of(any::<u32>()), elements(key.clone()))
            .prop_map(move |(name, flags, timeout, size, elements)| Set { name, key: key.clone(), flags, size, timeout, elements })
    })
}

fn script() -> impl Strategy<Value = Script> {
    let family = prop_oneof![Just(TableFamily::Ip), Just(TableFamily::Ip6), Just(TableFamily::Inet), Just(TableFamily::Netdev)];
    let id = (family, identifier()).prop_map(|(family, name)| TableId { family, name }).boxed();
    let counters = vec(identifier().prop_map(|name| Counter { name }), 0..3);
    let table = (id.clone(), counters, vec(set(), 0..3), vec(chain(), 0..4)).prop_map(|(id, counters, sets, chains)| Table {
        id,
        counters,
        sets,
        chains,
    });
    let command = prop_oneof![id.clone().prop_map(Command::Declare), id.prop_map(Command::Delete), table.prop_map(Command::Define)];
    vec(command, 0..4).prop_map(|commands| Script { commands })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_printed_tree_is_read_as_the_same_tree(script in script()) {
        let text = script.to_text();
        prop_assert_eq!(parse(&text), Ok(script), "{}", text);
    }

    #[test]
    fn any_text_gives_a_tree_or_a_place(text in "\\PC*|[ -~\\n]{0,200}") {
        if let Err(error) = parse(&text) {
            prop_assert!(error.line >= 1 && error.line as usize <= text.matches('\n').count() + 1);
        }
    }

    /// Our own text with a piece cut out or doubled: closer to the grammar than noise.
    #[test]
    fn damaged_text_gives_a_tree_or_a_place(script in script(), at in any::<prop::sample::Index>(), length in 0..20_usize, double in any::<bool>()) {
        let mut text = script.to_text();
        let start = at.index(text.len() + 1);
        let end = (start + length).min(text.len());
        let piece = text[start..end].to_owned();
        text.replace_range(start..end, &if double { piece.repeat(2) } else { String::new() });
        let _ = parse(&text);
    }
}

#[test]
fn listings_of_both_versions_read_alike() {
    let chain = |rules: &str| format!("table inet leafwall {{\n\tchain x {{\n\t\t{rules}\n\t}}\n}}\n");
    for (old, new) in [
        ("tcp flags != syn / syn,ack accept", "tcp flags & (syn | ack) != syn accept"),
        ("tcp flags syn / syn,rst", "tcp flags & (syn | rst) == syn"),
        ("limit rate 100/second accept", "limit rate 100/second burst 5 packets accept"),
        ("limit rate over 1000 kbytes/second burst 2 kbytes drop", "limit rate over 1024000 bytes/second burst 2048 bytes drop"),
        ("counter packets 7 bytes 900 drop", "counter drop"),
        ("meta l4proto 58 accept", "meta l4proto ipv6-icmp accept"),
        ("@th,96,24 { 0x2711, 0x2712 } accept", "@th,96,24 { 10002, 10001 } accept"),
        ("ct state vmap { established : accept, invalid : drop }", "ct state vmap { invalid : drop, established : accept }"),
        ("meta iifname \"a\" accept # handle 7", "iifname \"a\" accept"),
    ] {
        assert_eq!(parse(&chain(old)).unwrap(), parse(&chain(new)).unwrap(), "{new}");
    }
    // what the kernel tells of elements' lives, over several lines
    let set = |elements: &str| {
        format!(
            "table inet leafwall {{\n\tset s {{\n\t\ttype ipv4_addr\n\t\tsize 65535\n\t\tflags timeout\n\t\telements = {elements}\n\t}}\n}}\n"
        )
    };
    let old = parse(&set("{ 10.0.0.2 timeout 1m expires 59s996ms,\n\t\t\t     10.0.0.1 timeout 1h2m3s expires 1s }")).unwrap();
    assert_eq!(old, parse(&set("{ 10.0.0.1, 10.0.0.2 }")).unwrap());
}

#[test]
fn errors_point_to_their_place() {
    for (text, message) in [
        (
            "table inet leafwall {\n\tchain x {\n\t\tip saddr fd00::1 accept\n\t}\n}\n",
            "3:12: expected an IPv4 address, prefix or range, found `fd00::1`",
        ),
        ("table inet leafwall {\n\tchain x {\n", "3:1: expected a rule or `}`, found the end"),
        ("table inet leafwall {\n\tchain x {\n\t\tmasquerade\n\t}\n}\n", "3:3: expected something to match on, found `masquerade`"),
        ("table inet x { chain y { log prefix \"$x\" } }", "1:37: expected a prefix of harmless characters, found `\"$x\"`"),
        ("table inet x { chain y { tcp dport 70000 } }", "1:36: expected a port or a range of ports, found `70000`"),
        (
            "table inet x { chain y { iifname . oifname \"a\" } }",
            "1:44: expected `{` or `@`: a concatenation is compared with a set, found `\"a\"`",
        ),
        ("flush ruleset", "1:1: expected `table` or `delete`, found `flush`"),
        (
            "table inet x { chain y { limit rate 0/second } }",
            "1:37: expected a rate such as `10/second` or `10 kbytes/second`, found `0/second`",
        ),
        ("table inet x { chain y { log prefix \"a", "1:37: expected a closing `\"` on the same line, found `\"`"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), message, "{text}");
    }
}
