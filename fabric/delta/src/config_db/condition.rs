//! What SONiC's daemons say they have done.

use std::fmt;

/// One of SONiC's databases that daemons write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Database {
    /// What is.
    State,
    /// What managers told orchagent.
    Appl,
    /// What orchagent told the ASIC.
    Asic,
}

impl Database {
    /// Its number in Redis (SONiC's `database_config.json`).
    pub const fn number(self) -> u8 {
        match self {
            Self::Appl => 0,
            Self::Asic => 1,
            Self::State => 6,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Appl => "APPL_DB",
            Self::Asic => "ASIC_DB",
            Self::State => "STATE_DB",
        }
    }
}

/// Something that must be seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// A row is there, with these fields.
    Present {
        /// Where.
        database: Database,
        /// Its name.
        name: String,
        /// Fields and their values.
        fields: Vec<(&'static str, String)>,
    },
    /// A row is not there.
    Absent {
        /// Where.
        database: Database,
        /// Its name.
        name: String,
    },
    /// An object of the ASIC with these attributes is there. Its name is a number that only orchagent knows.
    Object {
        /// What kind: `SAI_OBJECT_TYPE_TUNNEL_MAP_ENTRY`.
        kind: &'static str,
        /// Attributes and their values.
        attributes: Vec<(&'static str, String)>,
    },
    /// None is.
    NoObject {
        /// What kind.
        kind: &'static str,
        /// Attributes and their values.
        attributes: Vec<(&'static str, String)>,
    },
}

impl Condition {
    /// Where to look.
    pub const fn database(&self) -> Database {
        match self {
            Self::Present { database, .. } | Self::Absent { database, .. } => *database,
            Self::Object { .. } | Self::NoObject { .. } => Database::Asic,
        }
    }
}

/// Fields or attributes, each with a blank before it.
struct Listed<'a>(&'a [(&'static str, String)]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present { database, name, fields } => write!(f, "{} has {name}{}", database.name(), Listed(fields)),
            Self::Absent { database, name } => write!(f, "{} has no {name}", database.name()),
            Self::Object { kind, attributes } => write!(f, "ASIC_DB has a {kind} with{}", Listed(attributes)),
            Self::NoObject { kind, attributes } => write!(f, "ASIC_DB has no {kind} with{}", Listed(attributes)),
        }
    }
}
