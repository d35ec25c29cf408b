//! Which object a policy comes from.

use std::fmt::{self, Write as _};

use leafwall_topology::{NAME_MAX, Name};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The kinds that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// metal-stack's `metal-stack.io/v1`
    ClusterwideNetworkPolicy,
    /// `leafwall.io/v1`
    FirewallPolicy,
    /// `v1`, of type LoadBalancer
    Service,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ClusterwideNetworkPolicy, Self::FirewallPolicy, Self::Service];

    /// What its policies' names begin with.
    const fn word(self) -> &'static str {
        match self {
            Self::ClusterwideNetworkPolicy => "cnp",
            Self::FirewallPolicy => "fwp",
            Self::Service => "svc",
        }
    }

    /// The name of the kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClusterwideNetworkPolicy => "ClusterwideNetworkPolicy",
            Self::FirewallPolicy => "FirewallPolicy",
            Self::Service => "Service",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An object of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty where the kind has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Hexadecimal digits of a digest in a name: 64 bits.
const DIGITS: usize = 16;

impl ObjectKey {
    /// The name of the policy that the object becomes: readable, and never that of another object.
    ///
    /// Names in Kubernetes may have dots and 253 characters, and namespaces; a policy's name is one label, since it stands in names of chains and counters (F1,
    /// F2). Where the object's name can't be taken as it is, a digest of kind, namespace and name makes it unique. A name that looks as if it had one is not
    /// taken as it is, so the two forms never meet.
    #[allow(clippy::missing_panics_doc)]
    pub fn policy_name(&self) -> Name {
        let plain = format!("{}-{}", self.kind.word(), self.name);
        if self.kind != Kind::Service
            && !looks_digested(&plain)
            && let Ok(name) = plain.parse()
        {
            return name;
        }
        let digest = Sha256::digest(format!("{}/{}/{}", self.kind, self.namespace, self.name));
        let hex = digest.iter().take(DIGITS / 2).fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let room = NAME_MAX - DIGITS - self.kind.word().len() - 2;
        let legal = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
        let readable: String = self.name.chars().take(room).map(legal).collect();
        let composed = format!("{}-{readable}-{hex}", self.kind.word());
        harmless(&composed)
    }
}

#[allow(clippy::expect_used)] // letters, digits and `-` inside, with a letter in front and a digit of the digest behind, cut to length: tried on random names
fn harmless(text: &str) -> Name {
    text.parse().expect("a legal name")
}

fn looks_digested(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(_, end)| end.len() == DIGITS && end.bytes().all(|b| b.is_ascii_hexdigit()))
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(kind: Kind, namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { kind, namespace: namespace.into(), name: name.into() }
    }

    #[test]
    fn names_stay_readable_and_never_meet() {
        let plain = key(Kind::ClusterwideNetworkPolicy, "firewall", "web");
        assert_eq!(plain.policy_name().as_str(), "cnp-web");
        let dotted = key(Kind::ClusterwideNetworkPolicy, "firewall", "web.v1").policy_name();
        assert!(dotted.as_str().starts_with("cnp-web-v1-"), "{dotted}");
        // who names an object like another one's policy gets another name
        let imitation = key(Kind::ClusterwideNetworkPolicy, "firewall", &dotted.as_str()[4..]).policy_name();
        assert_ne!(imitation, dotted);
        assert_ne!(key(Kind::Service, "a-b", "c").policy_name(), key(Kind::Service, "a", "b-c").policy_name());
    }

    proptest! {
        #[test]
        fn f02_every_name_becomes_a_legal_one(namespace in ".{0,80}", name in ".{0,300}") {
            for kind in Kind::ALL {
                let made = key(kind, &namespace, &name).policy_name();
                prop_assert!(made.as_str().parse::<Name>().is_ok());
            }
        }
    }
}
