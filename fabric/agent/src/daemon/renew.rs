//! A certificate is renewed before it ends. The key stays: a new one is a new enrolment.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use leafwall_api::v1::RenewRequest;
use leafwall_api::v1::identities_client::IdentitiesClient;
use leafwall_topology::Name;

use super::durable;
use super::enrol::{self, EnrolError};
use super::identity::{OWN_CERTIFICATE, Validity};
use super::link::Reach;
use crate::report::chain;

/// Between two looks at the certificate, which is good for months.
const LOOK: Duration = Duration::from_hours(1);
/// Between two attempts, at first; twice as long after each, up to the time between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Renews the certificate in this directory for as long as it runs.
pub async fn keep(reach: Rc<Reach>, device: Name, identity: PathBuf) {
    let mut pause = PAUSE;
    loop {
        match renew(&reach, &device, &identity).await {
            Ok(()) => {
                pause = PAUSE;
                tokio::time::sleep(LOOK).await;
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "the certificate is not renewed yet");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LOOK);
            }
        }
    }
}

async fn renew(reach: &Reach, device: &Name, identity: &Path) -> Result<(), EnrolError> {
    let before = Validity::read(identity)?;
    if !before.is_due(now()) {
        return Ok(());
    }
    let issued = IdentitiesClient::new(reach.channel()).renew(RenewRequest {}).await.map_err(Box::new)?.into_inner();
    let key = enrol::read_key(identity)?;
    enrol::check(&issued.certificate, device, &key)?;
    // in one step: the one before is good as long as this is not there
    durable::replace(identity, OWN_CERTIFICATE, issued.certificate.as_bytes())
        .map_err(enrol::file("write", &identity.join(OWN_CERTIFICATE)))?;
    reach.renew()?;
    tracing::info!(%device, until = Validity::read(identity)?.until, "the certificate is renewed");
    Ok(())
}

fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
