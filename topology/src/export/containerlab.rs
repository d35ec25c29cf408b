//! containerlab's topology file, as its schema names the parts.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::graph::Cable;
use crate::name::Name;
use crate::yaml::{self, YamlError};

/// A lab for containerlab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Topology {
    /// The lab's name; containers are called `clab-NAME-NODE`.
    pub name: Name,
    /// Nodes and links.
    pub topology: Parts,
}

/// What a lab consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parts {
    /// What all nodes of a kind share.
    pub kinds: BTreeMap<&'static str, Kind>,
    /// Nodes by name.
    pub nodes: BTreeMap<Name, Node>,
    /// Cables.
    pub links: Vec<Link>,
}

/// What all nodes of one kind share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kind {
    /// The container image.
    pub image: String,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// containerlab's kind: `linux` for FRR.
    pub kind: &'static str,
    /// Which part of the picture it belongs to.
    pub group: &'static str,
    /// Files of the device's directory, mounted where the node's start-up expects them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub binds: Vec<String>,
    /// What runs when all its links are there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exec: Vec<String>,
}

/// A cable: two `node:interface` ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The ends.
    pub endpoints: [String; 2],
    /// Bytes; both ends get it.
    pub mtu: u16,
}

impl Link {
    /// A link for a cable. containerlab sets the MTU of both ends; the agent sets smaller ones where the plan wants that.
    pub fn new(cable: &Cable, mtu: u16) -> Self {
        Self { endpoints: [cable.a.to_string(), cable.b.to_string()], mtu }
    }
}

impl Topology {
    /// The text of `clab.yml`.
    pub fn to_yaml(&self) -> Result<String, YamlError> {
        yaml::to_string(self)
    }
}
