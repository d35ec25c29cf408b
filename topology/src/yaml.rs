//! The one place that names the YAML writer. YAML output is always serialised from typed values, never templated (H15).

use serde::Serialize;

/// A value that YAML cannot hold.
#[derive(Debug, thiserror::Error)]
#[error("cannot be written as YAML: {0}")]
pub struct YamlError(String);

/// The value as a YAML document.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, YamlError> {
    serde_saphyr::to_string(value).map_err(|error| YamlError(error.to_string()))
}
