//! A typed syntax tree of the part of nftables that we use, its printer, and its parser.
//!
//! The tree holds what `nft` 1.0.6 and 1.1 both take and list back unchanged (tried on both): so [`parse`] reads our own text and the listing of our own
//! tables alike, and what the kernel holds can be compared with what was meant ([`Table::differences`], F19). `parse(print(x)) == x` for every canonical tree.

mod compare;
mod data;
mod expression;
mod lexer;
mod parse;
mod parse_rule;
mod parse_set;
mod print;
mod print_change;
mod print_parts;
mod statement;
#[cfg(test)]
mod tests;
mod tree;

pub use compare::{Difference, ObjectKind};
pub use data::{CtState, DataType, Key, Value};
pub use expression::{Expression, IpField, RawBase, Transport};
pub use parse::{ParseError, parse};
pub use statement::{
    Limit, LimitMode, LogPrefix, LogPrefixError, Operand, Operator, Rate, Rule, SnatTarget, Statement, TcpFlags, TimeUnit, Verdict,
};
pub use tree::{
    BaseChain, Chain, ChainKind, Change, Command, Counter, Elements, Hook, Identifier, IdentifierError, Policy, Script, Set, SetFlags,
    Table, TableFamily, TableId, priority,
};
