//! Leafwall intents: YAML and API objects with their places, checked into the Model.

mod check;
pub mod codes;
mod decode;
pub mod diagnostic;
mod document;
mod findings;
pub mod model;
pub mod raw;
mod read;
pub mod reference;
mod schema;
mod shape;
pub mod source;
pub mod tenancy;
mod tree;
pub mod yaml;

pub use check::{Known, check, load, load_again};
pub use codes::Code;
pub use diagnostic::{Diagnostic, Diagnostics, Severity, Style};
pub use document::{Document, document};
pub use model::Model;
pub use raw::{Intents, Object, Objects};
pub use read::{ALLOCATION_FILE, API_VERSION, FILE_MAX, is_allocation, read};
pub use schema::schema;
pub use source::{FileId, Place, SourceFile, Sources, Spanned};
