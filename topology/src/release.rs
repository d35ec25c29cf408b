//! SONiC's releases: which of them carry a fabric.

use thiserror::Error;

/// A release of SONiC, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub struct Release {
    /// Its branch: year and month.
    pub name: &'static str,
    /// The FRR in it.
    pub frr: &'static str,
    /// Whether it can be used, and why not.
    pub fault: Option<&'static str>,
    /// Whether zebra passes routes on to fpmsyncd only if it is told where that is (H13). Since 202411 that is so: before, zebra's old module did it by itself.
    pub fpm_address: bool,
}

/// Releases in their order.
const RELEASES: &[Release] = &[
    Release { name: "202405", frr: "8.5.4", fault: Some("its FRR 8.5.4 is older than any that we support (10)"), fpm_address: false },
    Release {
        name: "202411",
        frr: "10.0.1",
        fault: Some("its FRR 10.0.1 loses the VNI of a VRF when it is restarted (FRR #18059, H14)"),
        fpm_address: true,
    },
    Release { name: "202505", frr: "10.3", fault: None, fpm_address: true },
    Release { name: "202511", frr: "10.4.1", fault: None, fpm_address: true },
];

/// Text that is no release that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReleaseError {
    /// Nobody here knows it.
    #[error("SONiC `{0}` is not known")]
    Unknown(String),
    /// It is known to fail.
    #[error("SONiC `{name}` can't be used: {fault}")]
    Faulty {
        /// Which.
        name: &'static str,
        /// Why not.
        fault: &'static str,
    },
}

impl Release {
    /// The release of this name: a branch alone, or an image of it such as `202505.0-1a2b3c4`.
    ///
    /// # Errors
    /// [`ReleaseError`]: unknown, or known to fail.
    pub fn find(version: &str) -> Result<&'static Self, ReleaseError> {
        let branch = version.split(['.', '-', '_']).next().unwrap_or_default();
        let release = RELEASES.iter().find(|release| release.name == branch).ok_or_else(|| ReleaseError::Unknown(version.to_owned()))?;
        match release.fault {
            None => Ok(release),
            Some(fault) => Err(ReleaseError::Faulty { name: release.name, fault }),
        }
    }

    /// The names of those that can be used.
    pub fn usable() -> impl Iterator<Item = &'static str> {
        RELEASES.iter().filter(|release| release.fault.is_none()).map(|release| release.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Platform;

    #[test]
    fn h14_a_release_that_loses_vnis_is_refused() {
        assert!(matches!(Release::find("202411"), Err(ReleaseError::Faulty { name: "202411", .. })));
        assert_eq!(Release::find("202505.0-1a2b3c4").unwrap().frr, "10.3");
        assert_eq!(Release::find("master"), Err(ReleaseError::Unknown("master".to_owned())));
        assert!(Release::find(Platform::Sonic.profile().newest_tested).is_ok());
        assert_eq!(Release::usable().collect::<Vec<_>>(), ["202505", "202511"]);
    }
}
