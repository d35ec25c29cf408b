//! Rules for DNS names: the proxy between a cluster and its resolvers, which tells the firewall the addresses that clients are about to use.
//!
//! Flow: a client's query → `serve` (sockets) → [`proxy::Proxy`] → a resolver → its answer → [`answer`] (what it says of names that rules use) → [`book::Book`] (what
//! the kernel must have) → [`sink::AnswerSink`], whoever writes the kernel → the answer to the client.
//!
//! Guarantees: an answer with addresses of a name that a rule uses reaches a client only after the kernel has them, or not at all: it becomes SERVFAIL, and the client
//! asks again (F14). An address stays at least as long as the answer's time to live, and never shorter than [`book::Settings::floor`]. No address that the operator
//! closed, of the cluster itself, or of a machine's own surroundings gets into a set (F6). Memory is bounded; what strangers send takes none of it.
//!
//! Assumptions: resolvers are recursive and trusted as far as names go; clients reach names only through this proxy. The signed ruleset bounds whatever is in the sets.
//!
//! Caveats: addresses that a client remembers from before a rule named them are not known. Hints and addresses beside an answer are taken out of it.
//!
//! - [`names`]: pure; which rules a name is of
//! - [`space`]: pure; addresses that no answer may open
//! - [`answer`]: pure; messages
//! - [`book`]: pure; addresses with their times
//! - [`proxy`]: pure; the state machine, told events and the time
//! - [`sink`]: the port to whoever writes the kernel
//! - [`serve`]: sockets and tasks
#![cfg_attr(test, allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod answer;
pub mod book;
pub mod endpoint;
pub mod meter;
pub mod names;
pub mod proxy;
pub mod serve;
pub mod sink;
pub mod space;
