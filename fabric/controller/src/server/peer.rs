//! Who asks, by their certificate.

use leafwall_topology::Name;
use tonic::{Request, Status};

use super::core::Caller;
use crate::audit::Role;
use crate::certificates::{PeerRole, peer};

/// The caller, as their certificate says. What can't be believed is nobody.
pub fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let certificates = request.peer_certs().ok_or_else(|| Status::unauthenticated("no certificate"))?;
    let own = certificates.first().ok_or_else(|| Status::unauthenticated("no certificate"))?;
    let peer = peer(own).map_err(|error| Status::unauthenticated(error.to_string()))?;
    let role = match (peer.role, peer.tenant) {
        (PeerRole::Operator, _) => Role::Operator,
        (PeerRole::Viewer, _) => Role::Viewer,
        (PeerRole::Tenant, Some(tenant)) => Role::Tenant { tenant },
        (PeerRole::Agent, _) => Role::Agent { device: device(&peer.name)? },
        (PeerRole::Tenant, None) => return Err(Status::unauthenticated("a tenant's certificate names no tenant")),
    };
    Ok(Caller { who: peer.name, role })
}

fn device(name: &str) -> Result<Name, Status> {
    name.parse().map_err(|_| Status::unauthenticated("an agent's certificate names no device"))
}
