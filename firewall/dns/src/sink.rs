//! The port to whoever writes the kernel.

use std::future::Future;

pub use crate::book::{Change, Pair};
use thiserror::Error;

/// Why addresses did not get into the kernel.
#[derive(Debug, Error)]
#[error("the addresses of names did not get into the kernel")]
pub struct AnswerError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Puts addresses into the sets of their names.
pub trait AnswerSink: Send + 'static {
    /// Makes the change. Returns once the kernel was found to have all of it.
    fn put(&mut self, change: &Change) -> impl Future<Output = Result<(), AnswerError>> + Send;

    /// What was put, should still be there, and is not: somebody has taken it out.
    fn lost(&mut self) -> impl Future<Output = Result<Vec<Pair>, AnswerError>> + Send;
}
