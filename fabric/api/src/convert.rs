//! Between what travels and what the machines understand.

use leafwall_rollout::digest::{DIGEST_LEN, Digest};
use leafwall_rollout::message::{Answer, At, Hello, Order, Phase};
use leafwall_rollout::revision::Generation;
use leafwall_rollout::signed::Signed;
use leafwall_topology::Name;
use thiserror::Error;

use crate::v1;

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Malformed {
    /// A field that has to be there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A digest of another length.
    #[error("`{field}` is no digest: it has {length} bytes instead of {DIGEST_LEN}")]
    Digest {
        /// Which field.
        field: &'static str,
        /// Its bytes.
        length: usize,
    },
    /// A device that no device can be called.
    #[error("`{0}` is no device's name")]
    Name(String),
    /// A file that is none at the top of a fabric's directory.
    #[error("`{0}` is no file at the top of a fabric's directory")]
    Path(String),
    /// A kind of message that this version does not know.
    #[error("an unknown {field}: {number}")]
    Unknown {
        /// Which field.
        field: &'static str,
        /// Its value.
        number: i32,
    },
}

/// A digest out of a field of bytes.
///
/// # Errors
/// Where it has another length.
pub fn digest(field: &'static str, bytes: &[u8]) -> Result<Digest, Malformed> {
    let array: [u8; DIGEST_LEN] = bytes.try_into().map_err(|_| Malformed::Digest { field, length: bytes.len() })?;
    Ok(array.into())
}

/// A piece of a file, with the name that it may have.
///
/// # Errors
/// Where the name leads out of the directory, or hides in it.
pub fn piece(piece: v1::FilePiece) -> Result<(String, Vec<u8>), Malformed> {
    let v1::FilePiece { path, bytes } = piece;
    if path.is_empty() || path.contains(['/', '\\', '\0']) || path.starts_with('.') {
        return Err(Malformed::Path(path.chars().take(80).collect()));
    }
    Ok((path, bytes))
}

fn at(field: &'static str, at: Option<v1::At>) -> Result<At, Malformed> {
    at.ok_or(Malformed::Missing(field))?.try_into()
}

impl From<At> for v1::At {
    fn from(at: At) -> Self {
        Self { generation: at.generation.0, revision: at.revision.bytes().to_vec() }
    }
}

impl TryFrom<v1::At> for At {
    type Error = Malformed;

    fn try_from(at: v1::At) -> Result<Self, Malformed> {
        Ok(Self { generation: Generation(at.generation), revision: digest("revision", &at.revision)? })
    }
}

impl From<Order> for v1::ToAgent {
    fn from(order: Order) -> Self {
        use v1::to_agent::Order as Wire;
        let order = match order {
            Order::Prepare { revision } => {
                let Signed { text, signature, .. } = revision;
                Wire::Prepare(v1::Prepare { revision: Some(v1::Signed { text, signature }) })
            }
            Order::Apply { at, confirm_within } => Wire::Apply(v1::Apply { at: Some(at.into()), confirm_within }),
            Order::Confirm { at } => Wire::Confirm(v1::Confirm { at: Some(at.into()) }),
            Order::Abandon { at } => Wire::Abandon(v1::Abandon { at: Some(at.into()) }),
        };
        Self { order: Some(order) }
    }
}

impl TryFrom<v1::ToAgent> for Order {
    type Error = Malformed;

    fn try_from(message: v1::ToAgent) -> Result<Self, Malformed> {
        use v1::to_agent::Order as Wire;
        Ok(match message.order.ok_or(Malformed::Missing("order"))? {
            Wire::Prepare(prepare) => {
                let v1::Signed { text, signature } = prepare.revision.ok_or(Malformed::Missing("revision"))?;
                Self::Prepare { revision: Signed::from_parts(text, signature) }
            }
            Wire::Apply(apply) => Self::Apply { at: at("at", apply.at)?, confirm_within: apply.confirm_within },
            Wire::Confirm(confirm) => Self::Confirm { at: at("at", confirm.at)? },
            Wire::Abandon(abandon) => Self::Abandon { at: at("at", abandon.at)? },
        })
    }
}

impl From<Hello> for v1::Hello {
    fn from(hello: Hello) -> Self {
        let phase = hello.pending.map_or(v1::Phase::Unspecified, |(_, phase)| match phase {
            Phase::Prepared => v1::Phase::Prepared,
            Phase::Applying => v1::Phase::Applying,
            Phase::Unconfirmed => v1::Phase::Unconfirmed,
            Phase::GoingBack => v1::Phase::GoingBack,
        });
        Self {
            device: hello.device.to_string(),
            confirmed: hello.confirmed.map(Into::into),
            pending: hello.pending.map(|(at, _)| at.into()),
            phase: phase.into(),
        }
    }
}

impl TryFrom<v1::Hello> for Hello {
    type Error = Malformed;

    fn try_from(hello: v1::Hello) -> Result<Self, Malformed> {
        let unknown = Malformed::Unknown { field: "phase", number: hello.phase };
        let phase = match v1::Phase::try_from(hello.phase).map_err(|_| unknown)? {
            v1::Phase::Unspecified => None,
            v1::Phase::Prepared => Some(Phase::Prepared),
            v1::Phase::Applying => Some(Phase::Applying),
            v1::Phase::Unconfirmed => Some(Phase::Unconfirmed),
            v1::Phase::GoingBack => Some(Phase::GoingBack),
        };
        let pending = match (hello.pending, phase) {
            (Some(pending), Some(phase)) => Some((pending.try_into()?, phase)),
            (None, None) => None,
            (Some(_), None) => return Err(Malformed::Missing("phase")),
            (None, Some(_)) => return Err(Malformed::Missing("pending")),
        };
        let device = hello.device.parse::<Name>().map_err(|_| Malformed::Name(hello.device.chars().take(80).collect()))?;
        Ok(Self { device, confirmed: hello.confirmed.map(TryInto::try_into).transpose()?, pending })
    }
}

impl From<Answer> for v1::Answer {
    fn from(answer: Answer) -> Self {
        use v1::AnswerKind as Kind;
        let (kind, at, reason) = match answer {
            Answer::Prepared { at } => (Kind::Prepared, at, String::new()),
            Answer::Refused { at, reason } => (Kind::Refused, at, reason),
            Answer::Applied { at } => (Kind::Applied, at, String::new()),
            Answer::Failed { at, reason } => (Kind::Failed, at, reason),
            Answer::Confirmed { at } => (Kind::Confirmed, at, String::new()),
            Answer::WentBack { from, reason } => (Kind::WentBack, from, reason),
        };
        Self { kind: kind.into(), at: Some(at.into()), reason }
    }
}

impl TryFrom<v1::Answer> for Answer {
    type Error = Malformed;

    fn try_from(answer: v1::Answer) -> Result<Self, Malformed> {
        use v1::AnswerKind as Kind;
        let unknown = Malformed::Unknown { field: "kind", number: answer.kind };
        let (at, reason) = (at("at", answer.at)?, answer.reason);
        Ok(match Kind::try_from(answer.kind).map_err(|_| unknown)? {
            Kind::Unspecified => return Err(Malformed::Missing("kind")),
            Kind::Prepared => Self::Prepared { at },
            Kind::Refused => Self::Refused { at, reason },
            Kind::Applied => Self::Applied { at },
            Kind::Failed => Self::Failed { at, reason },
            Kind::Confirmed => Self::Confirmed { at },
            Kind::WentBack => Self::WentBack { from: at, reason },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> At {
        At { generation: Generation(7), revision: Digest::of(b"seven") }
    }

    #[test]
    fn what_is_said_arrives_as_it_was_said() {
        let reason = "swp1 is gone".to_owned();
        let answers = [
            Answer::Prepared { at: at() },
            Answer::Refused { at: at(), reason: reason.clone() },
            Answer::Applied { at: at() },
            Answer::Failed { at: at(), reason: reason.clone() },
            Answer::Confirmed { at: at() },
            Answer::WentBack { from: at(), reason },
        ];
        for answer in answers {
            assert_eq!(Answer::try_from(v1::Answer::from(answer.clone())), Ok(answer));
        }
        let orders = [
            Order::Prepare { revision: Signed::from_parts("{}".into(), vec![1; 64]) },
            Order::Apply { at: at(), confirm_within: 30_000 },
            Order::Confirm { at: at() },
            Order::Abandon { at: at() },
        ];
        for order in orders {
            assert_eq!(Order::try_from(v1::ToAgent::from(order.clone())), Ok(order));
        }
        for phase in [Phase::Prepared, Phase::Applying, Phase::Unconfirmed, Phase::GoingBack] {
            let hello = Hello { device: "leaf-01".parse().unwrap(), confirmed: Some(at()), pending: Some((at(), phase)) };
            assert_eq!(Hello::try_from(v1::Hello::from(hello.clone())), Ok(hello));
        }
        let fresh = Hello { device: "leaf-01".parse().unwrap(), confirmed: None, pending: None };
        assert_eq!(Hello::try_from(v1::Hello::from(fresh.clone())), Ok(fresh));
    }

    #[test]
    fn a_file_stays_in_its_directory() {
        let piece = |path: &str| piece(v1::FilePiece { path: path.into(), bytes: vec![1] });
        assert_eq!(piece("a.yaml"), Ok(("a.yaml".to_owned(), vec![1])));
        for path in ["", ".", "..", ".a.yaml", "../a.yaml", "/a.yaml", "a/b.yaml", "a\\b.yaml", "a\0.yaml"] {
            assert_eq!(piece(path), Err(Malformed::Path(path.to_owned())));
        }
    }

    #[test]
    fn what_is_missing_or_unknown_is_an_error() {
        assert_eq!(Order::try_from(v1::ToAgent { order: None }), Err(Malformed::Missing("order")));
        let short = v1::At { generation: 1, revision: vec![0; 31] };
        assert_eq!(At::try_from(short), Err(Malformed::Digest { field: "revision", length: 31 }));
        let answer = v1::Answer { kind: 99, at: Some(at().into()), reason: String::new() };
        assert_eq!(Answer::try_from(answer), Err(Malformed::Unknown { field: "kind", number: 99 }));
        let hello = v1::Hello { device: "../leaf".into(), confirmed: None, pending: None, phase: 0 };
        assert_eq!(Hello::try_from(hello), Err(Malformed::Name("../leaf".into())));
        let half = v1::Hello { device: "leaf-01".into(), confirmed: None, pending: Some(at().into()), phase: 0 };
        assert_eq!(Hello::try_from(half), Err(Malformed::Missing("phase")));
    }
}
