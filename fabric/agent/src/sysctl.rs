//! Kernel settings below `/proc/sys/net`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A setting that may not be touched, or could not be.
#[derive(Debug, Error)]
pub enum SysctlError {
    /// Not a setting of the network.
    #[error("`{key}` is not a setting below net/ (names between slashes, of letters, digits, `-`, `_` and `.`)")]
    NotOfNetwork {
        /// What was asked for.
        key: String,
    },
    /// The kernel refuses the value, or we may not write.
    #[error("can't set `{key}` to `{value}`")]
    Write {
        /// The setting.
        key: String,
        /// The value.
        value: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The settings of a network namespace.
#[derive(Debug, Clone)]
pub struct Sysctl {
    root: PathBuf,
}

impl Default for Sysctl {
    fn default() -> Self {
        Self::at("/proc/sys")
    }
}

impl Sysctl {
    /// Settings in another place, for tests.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The present value with white space made even; `None` if there is no such setting (no such device, no such kernel).
    pub fn read(&self, key: &str) -> Result<Option<String>, SysctlError> {
        Ok(fs::read_to_string(self.path(key)?).ok().map(|text| even(&text)))
    }

    /// Sets a value.
    pub fn write(&self, key: &str, value: &str) -> Result<(), SysctlError> {
        let path = self.path(key)?;
        fs::write(path, value).map_err(|source| SysctlError::Write { key: key.to_owned(), value: value.to_owned(), source })
    }

    fn path(&self, key: &str) -> Result<PathBuf, SysctlError> {
        let legal = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        if key.starts_with("net/") && key.split('/').all(legal) {
            Ok(Path::new(&self.root).join(key))
        } else {
            Err(SysctlError::NotOfNetwork { key: key.to_owned() })
        }
    }
}

/// A value as it is compared: the kernel prints tabs where one writes spaces.
pub fn even(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a setting makes the device forward packets (F22).
pub fn forwards(key: &str) -> bool {
    match key.split('/').collect::<Vec<_>>().as_slice() {
        ["net", "ipv4", "ip_forward"] => true,
        ["net", "ipv4" | "ipv6", "conf", _, setting] => *setting == "forwarding",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settings_of_the_network() {
        let sysctl = Sysctl::at("/nowhere");
        for key in ["kernel/core_pattern", "net/../kernel/core_pattern", "/etc/passwd", "net//x", "net/ipv4/a b", "net/ipv4/..", ""] {
            assert!(matches!(sysctl.read(key), Err(SysctlError::NotOfNetwork { .. })), "{key}");
        }
        assert_eq!(sysctl.read("net/ipv4/conf/swp1.100/forwarding").unwrap(), None);
    }

    #[test]
    fn f22_what_forwards() {
        for key in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/conf/vrf7/forwarding"] {
            assert!(forwards(key), "{key}");
        }
        for key in ["net/ipv4/conf/all/rp_filter", "net/ipv4/conf/all/mc_forwarding"] {
            assert!(!forwards(key), "{key}");
        }
    }
}
