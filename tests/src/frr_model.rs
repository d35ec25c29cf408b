//! What FRR's daemons make of commands, as far as configurations of ours go: a small model of `vtysh -f`, written from trials on FRR 10.3. It knows nothing of the
//! delta engine. Where real daemons would refuse a command, or do something else than its words say, the model fails.

use std::collections::BTreeSet;

use leafwall_render::frr::FrrConfig;

/// A statement with those that it stands below.
pub type Statement = Vec<String>;

/// Settings of an instance that hold unless they are taken back.
const ON_BY_DEFAULT: [&str; 2] = ["bgp default ipv4-unicast", "bgp network import-check"];

/// The running configuration of modelled daemons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    statements: BTreeSet<Statement>,
}

/// How many words of a statement say whose place it takes; the first pattern that fits counts, `*` fits any word.
const SLOTS: &[(&str, usize)] = &[
    ("frr defaults", 2),
    ("log syslog", 2),
    ("ip prefix-list * seq *", 5),
    ("ipv6 prefix-list * seq *", 5),
    ("bgp as-path access-list * seq *", 6),
    ("bgp community-list * * seq *", 6),
    ("bgp extcommunity-list * * seq *", 6),
    ("match ip address prefix-list", 4),
    ("match ipv6 address prefix-list", 4),
    ("match ip next-hop address", 4),
    ("match ip next-hop prefix-list", 4),
    ("match evpn *", 3),
    ("match *", 2),
    ("set as-path *", 3),
    ("set *", 2),
    ("vni *", 1),
    ("bgp router-id", 2),
    ("neighbor * timers connect", 4),
    ("neighbor * timers", 3),
    ("neighbor * description", 3),
    ("neighbor * password", 3),
    ("neighbor * ttl-security", 3),
    ("neighbor * bfd profile", 4),
    ("neighbor * maximum-prefix", 3),
    ("neighbor * allowas-in", 3),
    ("neighbor * remote-as", 3),
    ("rd", 1),
    ("advertise *", 2),
    ("import vrf route-map", 3),
    ("redistribute *", 2),
    ("detect-multiplier", 1),
    ("transmit-interval", 1),
    ("receive-interval", 1),
];

fn fits(pattern: &str, words: &[&str]) -> bool {
    let pattern: Vec<&str> = pattern.split(' ').collect();
    words.len() >= pattern.len() && pattern.iter().zip(words).all(|(p, w)| *p == "*" || p == w)
}

/// What two statements have in common that take each other's place.
fn slot(statement: &str) -> String {
    let words: Vec<&str> = statement.split(' ').collect();
    if let ["neighbor", peer, kind @ ("prefix-list" | "route-map" | "filter-list"), _, direction] = words[..] {
        return format!("neighbor {peer} {kind} {direction}");
    }
    match SLOTS.iter().find(|(pattern, _)| fits(pattern, &words)) {
        Some((_, count)) => words[..*count].join(" "),
        None => statement.to_owned(),
    }
}

/// Whether a line opens a block where it stands.
fn opens(context: &[String], line: &str) -> bool {
    let first = line.split(' ').next().unwrap_or_default();
    match context.len() {
        0 => matches!(first, "route-map" | "vrf" | "router" | "bfd"),
        1 => first == "address-family" || (first == "profile" && context[0] == "bfd"),
        2 => first == "vni" && context[1] == "address-family l2vpn evpn",
        _ => false,
    }
}

/// A list entry of bgpd's without its number: bgpd ignores one that is there already.
fn content(statement: &str) -> Option<(String, String)> {
    let words: Vec<&str> = statement.split(' ').collect();
    let list = words.first() == Some(&"bgp") && words.get(4) == Some(&"seq");
    list.then(|| (words[..4].join(" "), words[6..].join(" ")))
}

impl Model {
    /// Daemons that run this.
    ///
    /// # Panics
    /// Where it can't be printed.
    #[allow(clippy::unwrap_used)]
    pub fn of(config: &FrrConfig) -> Self {
        let own = |statement: &Statement| statement[0].starts_with("hostname") || statement[0].starts_with("frr version");
        Self { statements: config.statements().unwrap().into_iter().filter(|statement| !own(statement)).collect() }.shown()
    }

    /// As daemons show it: blocks that are empty are not there.
    #[must_use]
    pub fn shown(&self) -> Self {
        let filled = |statement: &Statement| {
            let hidden = statement.last().is_some_and(|last| last.starts_with("address-family ") || last == "bfd");
            !hidden || self.statements.iter().any(|other| other.len() > statement.len() && other.starts_with(statement))
        };
        Self { statements: self.statements.iter().filter(|statement| filled(statement)).cloned().collect() }
    }

    /// Loads a text; `after` looks at what runs after each line.
    ///
    /// # Errors
    /// A command that daemons would not take as it is meant.
    pub fn load(&mut self, text: &str, mut after: impl FnMut(&Self, &str)) -> Result<(), String> {
        let mut context: Statement = Vec::new();
        for line in text.lines() {
            let depth = line.len() - line.trim_start().len();
            let line = line.trim_start();
            if !line.starts_with("exit") && depth != context.len() {
                return Err(format!("`{line}` stands at depth {depth} in {context:?}"));
            }
            self.line(&mut context, line)?;
            if !line.starts_with("exit") {
                after(self, line);
            }
        }
        if context.is_empty() { Ok(()) } else { Err(format!("{context:?} stays open")) }
    }

    /// Takes one line in a context, which it may open or leave.
    ///
    /// # Errors
    /// A command that daemons would not take as it is meant.
    pub fn line(&mut self, context: &mut Statement, line: &str) -> Result<(), String> {
        if line.starts_with("exit") {
            context.pop().ok_or("an exit too many")?;
        } else if opens(context, line) {
            self.enter(context, line);
            context.push(line.to_owned());
        } else if ON_BY_DEFAULT.contains(&line) {
            // the configuration shows the negative form alone
            self.remove(context, &format!("no {line}"))?;
        } else if let Some(statement) = line.strip_prefix("no ").filter(|rest| !ON_BY_DEFAULT.contains(rest)) {
            self.remove(context, statement)?;
        } else {
            self.say(context, line)?;
        }
        Ok(())
    }

    /// All statements, each with those that it stands below; what stands below one comes after it.
    pub fn statements(&self) -> impl Iterator<Item = &[String]> {
        self.statements.iter().map(Vec::as_slice)
    }

    /// What daemons print of it.
    pub fn text(&self) -> String {
        let line = |statement: &Statement| statement.last().map(|last| " ".repeat(statement.len() - 1) + last + "\n");
        self.shown().statements.iter().filter_map(line).collect()
    }

    fn enter(&mut self, context: &[String], line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["route-map", name, _, seq] = words[..] {
            // an entry keeps what it says when its action changes
            let other = [format!("route-map {name} permit {seq}"), format!("route-map {name} deny {seq}")];
            let other = other.into_iter().find(|head| head != line).unwrap_or_default();
            let moved: Vec<Statement> = self.statements.iter().filter(|statement| statement[0] == other).cloned().collect();
            for mut statement in moved {
                self.statements.remove(&statement);
                line.clone_into(&mut statement[0]);
                self.statements.insert(statement);
            }
        }
        self.statements.insert([context, &[line.to_owned()]].concat());
    }

    fn below(&self, context: &[String]) -> Vec<Statement> {
        self.statements.iter().filter(|statement| statement.len() == context.len() + 1 && statement.starts_with(context)).cloned().collect()
    }

    fn say(&mut self, context: &[String], line: &str) -> Result<(), String> {
        let siblings = self.below(context);
        if let Some(said) = content(line)
            && siblings.iter().any(|other| other[0] != line && content(&other[0]) == Some(said.clone()))
        {
            return Err(format!("`{line}` is ignored: the list says that already"));
        }
        let words: Vec<&str> = line.split(' ').collect();
        if context.len() == 2 && words.first() == Some(&"neighbor") {
            let made = format!("neighbor {} ", words[1]);
            if !self.below(&context[..1]).iter().any(|statement| statement[1].starts_with(&made)) {
                return Err(format!("`{line}`: there is no such neighbour in {context:?}"));
            }
        }
        if let ["neighbor", peer, "interface", "peer-group", group] = words[..] {
            if !siblings.iter().any(|statement| statement[1] == format!("neighbor {group} peer-group")) {
                return Err(format!("`{line}`: configure the peer-group first"));
            }
            if siblings.iter().any(|statement| statement[1].starts_with(&format!("neighbor {peer} interface ")) && statement[1] != line) {
                return Err(format!("`{line}`: cannot change the peer-group"));
            }
        }
        for mut other in siblings.into_iter().filter(|other| other.last().is_some_and(|last| slot(last) == slot(line) && last != line)) {
            if line.starts_with("redistribute ") && !line.contains("route-map") {
                return Err(format!("`{line}` keeps the route-map of `{}`", other.pop().unwrap_or_default()));
            }
            if line.starts_with("vni ") && context.len() == 1 {
                return Err(format!("H5: `{line}` takes the place of `{}` at once", other.pop().unwrap_or_default()));
            }
            self.statements.remove(&other);
        }
        self.statements.insert([context, &[line.to_owned()]].concat());
        Ok(())
    }

    fn remove(&mut self, context: &[String], statement: &str) -> Result<(), String> {
        let words: Vec<&str> = statement.split(' ').collect();
        if let ["neighbor", peer] | ["neighbor", peer, "peer-group"] = words[..] {
            let of = format!("neighbor {peer} ");
            let gone: Vec<Statement> = self
                .statements
                .iter()
                .filter(|s| s.starts_with(context) && s.iter().skip(1).any(|part| part.starts_with(&of)))
                .cloned()
                .collect();
            if gone.is_empty() {
                return Err(format!("`no {statement}`: there is no such neighbour"));
            }
            if words.len() == 3 && self.below(context).iter().any(|s| s[1].ends_with(&format!(" interface peer-group {peer}"))) {
                return Err(format!("`no {statement}` would take members with it"));
            }
            self.statements.retain(|statement| !gone.contains(statement));
            return Ok(());
        }
        let exact = [context, &[statement.to_owned()]].concat();
        let valueless = ["detect-multiplier", "transmit-interval", "receive-interval"].contains(&statement);
        let gone: Vec<Statement> = self
            .statements
            .iter()
            .filter(|other| {
                other.starts_with(&exact) || (valueless && other.starts_with(context) && other.last().is_some_and(|l| slot(l) == statement))
            })
            .cloned()
            .collect();
        if gone.is_empty() {
            return Err(format!("`no {statement}` in {context:?}: there is no such statement (H8)"));
        }
        if statement.starts_with("router bgp ") && !statement.contains(" vrf ") {
            let dependent = self.statements.iter().any(|other| other[0].starts_with("router bgp ") && other[0].contains(" vrf "));
            if dependent {
                return Err(format!("`no {statement}`: dependent VRF instances exist"));
            }
            if gone.iter().any(|other| other.len() == 3 && other[2].starts_with("vni ")) {
                return Err(format!("`no {statement}`: its VNIs would come back with the next instance"));
            }
        }
        if let Some(vrf) = statement.strip_prefix("router bgp ").and_then(|rest| rest.split(" vrf ").nth(1)) {
            let l3 =
                self.statements.iter().any(|other| other.len() == 2 && other[0] == format!("vrf {vrf}") && other[1].starts_with("vni "));
            if l3 {
                return Err(format!("H5: `no {statement}` while its VRF has an L3VNI"));
            }
        }
        if let Some(vrf) = statement.strip_prefix("vrf ") {
            let instance = self.statements.iter().any(|other| other[0].ends_with(&format!(" vrf {vrf}")));
            if instance {
                return Err(format!("H19: `no {statement}` while it has an instance"));
            }
        }
        if statement.ends_with(" bfd") && self.below(context).iter().any(|other| other[1].starts_with(&format!("{statement} profile"))) {
            return Err(format!("`no {statement}` takes the profile with it"));
        }
        self.statements.retain(|statement| !gone.contains(statement));
        Ok(())
    }

    /// What this has and the other does not.
    pub fn minus(&self, other: &Self) -> Vec<String> {
        self.statements.difference(&other.statements).map(|statement| statement.join(" / ")).collect()
    }

    /// Entries of route-maps that let everything through: those that permit and match nothing.
    pub fn open_entries(&self) -> BTreeSet<String> {
        let heads = self.statements.iter().filter(|statement| statement.len() == 1 && statement[0].starts_with("route-map "));
        let heads = heads.filter(|statement| statement[0].contains(" permit "));
        let matches = |head: &Statement| {
            self.statements.iter().any(|other| other.len() == 2 && other[0] == head[0] && other[1].starts_with("match "))
        };
        heads.filter(|head| !matches(head)).map(|head| head[0].clone()).collect()
    }
}
