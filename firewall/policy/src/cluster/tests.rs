//! What the documentation promises.
