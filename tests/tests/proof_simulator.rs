//! Two ways that share nothing: a ruleset's sets of packets, and one packet at a time through its rules; on everything that is rendered, and on its mistakes.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::net::IpAddr;

use leafwall_policy::nft::{CtState, Elements, Hook, Operand, Script, Statement, Value, parse};
use leafwall_policy::sets::{Header, PacketSet};
use leafwall_proof::nft::{Certainty, Context, Evaluation};
use leafwall_render::links::Links;
use leafwall_render::{LEAFWALL_NFT, LINKS_JSON};
use leafwall_tests::mutations::{MISTAKES, REWRITES};
use leafwall_tests::random::Random;
use leafwall_tests::rendered::{golden_fabrics, rendered};
use leafwall_tests::root;
use leafwall_tests::simulator::{At, passes, passes_ingress};
use leafwall_topology::{Family, IfName};

const STATES: [CtState; 5] = [CtState::New, CtState::Established, CtState::Related, CtState::Invalid, CtState::Untracked];
const HOOKS: [Hook; 4] = [Hook::Prerouting, Hook::Input, Hook::Forward, Hook::Output];

/// Values that a ruleset's outcome can turn at: those in it, and their neighbours.
#[derive(Default)]
struct Corners {
    addresses: Vec<IpAddr>,
    numbers: Vec<u64>,
}

impl Corners {
    fn of(script: &Script) -> Self {
        let mut corners =
            Self { addresses: vec![[192, 0, 2, 1].into(), "2001:db8::1".parse().unwrap()], numbers: vec![0, 8, 22, 128, 65_535] };
        for table in script.tables() {
            for set in &table.sets {
                corners.elements(&set.elements);
            }
            for statement in table.chains.iter().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.statements) {
                match statement {
                    Statement::Match { right: Operand::Value(value), .. } => corners.value(value),
                    Statement::Match { right: Operand::Anonymous(elements), .. }
                    | Statement::VerdictMap { map: Operand::Anonymous(elements), .. } => corners.elements(elements),
                    _ => {}
                }
            }
        }
        corners
    }

    fn elements(&mut self, elements: &Elements) {
        elements.keys().flatten().for_each(|value| self.value(value));
    }

    fn value(&mut self, value: &Value) {
        let mut address = |at: IpAddr| {
            let family = Family::of(at);
            let number = Family::number(at);
            let near = [number.saturating_sub(1), number, number.saturating_add(1).min(family.last_number())];
            self.addresses.extend(near.map(|number| family.address(number)));
        };
        match value {
            Value::Address(at) => address(*at),
            Value::Prefix(prefix) => [prefix.network(), prefix.last()].into_iter().for_each(address),
            Value::Addresses(first, last) => [*first, *last].into_iter().for_each(address),
            Value::Number(number) => self.numbers.extend([number.saturating_sub(1), *number, number + 1]),
            Value::Numbers(first, last) => self.numbers.extend([first.saturating_sub(1), *first, *last, last + 1]),
            Value::Interface(_) | Value::Mac(_) => {}
        }
    }

    fn packet(&self, random: &mut Random) -> Header {
        let source = *random.pick(&self.addresses);
        let same: Vec<IpAddr> = self.addresses.iter().copied().filter(|to| to.is_ipv4() == source.is_ipv4()).collect();
        let port = |random: &mut Random| u16::try_from(*random.pick(&self.numbers)).unwrap_or(4789);
        let protocol = *random.pick(&[1, 6, 6, 17, 17, 47, 58, 132]);
        let destination_port = if random.below(4) == 0 { 4789 } else { port(random) };
        let vni = u32::try_from(*random.pick(&self.numbers)).unwrap_or(0) & 0xff_ffff;
        Header { source, destination: *random.pick(&same), protocol, source_port: port(random), destination_port, vni }
    }
}

#[derive(Default)]
struct Counted {
    packets: usize,
    passed: usize,
    wrong: Vec<String>,
}

fn compare(name: &str, text: &str, links: &[IfName], random: &mut Random, counted: &mut Counted) {
    let script = parse(text).unwrap();
    let corners = Corners::of(&script);
    let interfaces: Vec<Option<IfName>> = links.iter().cloned().map(Some).chain([None]).collect();
    for _ in 0..30 {
        let at = At { input: random.pick(&interfaces).clone(), output: random.pick(&interfaces).clone(), state: *random.pick(&STATES) };
        let context = Context { state: at.state, ..Context::new(at.input.as_ref(), at.output.as_ref(), Certainty::Must) };
        let evaluation = Evaluation::new(&script, context);
        let by_hook: Vec<PacketSet> = HOOKS.iter().map(|hook| evaluation.accepted(*hook)).collect();
        let device = at.input.clone();
        let guard = device.as_ref().and_then(|device| evaluation.ingress(device));
        for _ in 0..60 {
            let packet = corners.packet(random);
            let mut one = |what: String, by_sets: bool, by_rules: bool| {
                counted.packets += 1;
                counted.passed += usize::from(by_rules);
                if by_sets != by_rules {
                    counted.wrong.push(format!("{name}: {what}, {at:?}, {packet}: by sets {by_sets}, rule by rule {by_rules}"));
                }
            };
            for (hook, set) in HOOKS.iter().zip(&by_hook) {
                one(format!("{hook:?}"), set.contains(&packet), passes(&script, *hook, &at, &packet));
            }
            if let Some(device) = &device {
                let by_rules = passes_ingress(&script, device, &at, &packet);
                assert_eq!(by_rules.is_some(), guard.is_some(), "{name}: {device}");
                if let (Some(set), Some(by_rules)) = (&guard, by_rules) {
                    one(format!("ingress of {device}"), set.contains(&packet), by_rules);
                }
            }
        }
    }
}

fn names(links: &str) -> Vec<IfName> {
    Links::parse(links).unwrap().links.into_iter().map(|link| link.name).collect()
}

#[test]
fn sets_of_a_ruleset_are_what_its_rules_do_to_each_packet() {
    let mut random = Random::from_environment(85);
    let mut counted = Counted::default();
    for (name, path) in golden_fabrics() {
        for (device, artefacts) in &rendered(&path).devices {
            if let Some(text) = artefacts.files.get(LEAFWALL_NFT) {
                compare(&format!("{name}/{device}"), text, &names(&artefacts.files[LINKS_JSON]), &mut random, &mut counted);
            }
        }
    }
    let fra1 = rendered(&root().join("containerlab/fra1"));
    for mutation in MISTAKES.iter().chain(REWRITES).filter(|mutation| mutation.file == LEAFWALL_NFT) {
        let files = &fra1.devices[mutation.device].files;
        let text = mutation.apply(&files[LEAFWALL_NFT]).unwrap();
        compare(mutation.name, &text, &names(&files[LINKS_JSON]), &mut random, &mut counted);
    }
    let Counted { packets, passed, wrong } = counted;
    assert!(wrong.is_empty(), "{} of {packets}:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    assert!(packets > 200_000 && passed > packets / 20 && packets - passed > packets / 20, "{passed} of {packets}");
}
