//! One step, done.

use std::net::IpAddr;

use leafwall_render::links::{LinkKind, LinkLocal, Route, RouteTargetKind};
use leafwall_topology::names::LINK_ALIAS;
use leafwall_topology::{Family, HostAddress};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressProtocol};
use rtnetlink::packet_route::link::{AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType};

use super::{Change, Kind, Netlink, NetlinkError, Raw, attributes};
use crate::links::{LinkStep, ROUTE_PROTOCOL, RouteKey, Tagging, is_link_local};

impl Netlink {
    /// Does one step. Removing what is not there (any more) is no error.
    pub async fn apply(&self, step: &LinkStep) -> Result<(), NetlinkError> {
        match step {
            LinkStep::Create { name, kind } => {
                let lower = match kind {
                    LinkKind::Vlan { lower, .. } => Some(self.index_of(lower).await?),
                    _ => None,
                };
                self.change(step, Change::Create, Raw::new(Kind::NewLink, &attributes::create(name.as_str(), kind, lower))).await
            }
            LinkStep::SetOptions { name, kind } => {
                let index = self.index_of(name).await?;
                self.change(step, Change::Existing, Raw::new(Kind::NewLink, &attributes::options(index, kind))).await
            }
            LinkStep::SetPort { name, flags } => {
                let index = self.index_of(name).await?;
                self.change(step, Change::Existing, Raw::new(Kind::NewLink, &attributes::port(index, *flags))).await
            }
            LinkStep::Mark { .. }
            | LinkStep::SetMac { .. }
            | LinkStep::SetMtu { .. }
            | LinkStep::SetLinkLocal { .. }
            | LinkStep::Enslave { .. }
            | LinkStep::Release { .. }
            | LinkStep::Raise { .. }
            | LinkStep::Lower { .. } => self.set(step).await,
            LinkStep::AddVlan { name, scope, vlan, tagging } => {
                self.set_vlan(step, Kind::SetLink, self.index_of(name).await?, *scope, *vlan, *tagging).await
            }
            LinkStep::RemoveVlan { name, scope, vlan } => {
                forgive(self.set_vlan(step, Kind::DelLink, self.index_of(name).await?, *scope, *vlan, Tagging::Tagged).await)
            }
            LinkStep::AddVni { name, vni } => self.add_vni(step, self.index_of(name).await?, vni.get()).await,
            LinkStep::RemoveVni { name, vni } => forgive(self.remove_vni(step, self.index_of(name).await?, *vni).await),
            LinkStep::MapTunnel { name, vlan, vni } => {
                self.set_tunnel(step, Kind::SetLink, self.index_of(name).await?, *vlan, vni.get()).await
            }
            LinkStep::UnmapTunnel { name, vlan, vni } => {
                forgive(self.set_tunnel(step, Kind::DelLink, self.index_of(name).await?, *vlan, *vni).await)
            }
            LinkStep::AddLocalMac { name, vlan, mac } => self.add_local_mac(step, self.index_of(name).await?, *vlan, *mac).await,
            LinkStep::AddAddress { name, address } => {
                let message = address_message(self.index_of(name).await?, *address);
                match self.change(step, Change::Create, Raw::new(Kind::NewAddress, &message)).await {
                    // the kernel makes these, too, where a VRF took the link down and up
                    Err(error) if is_link_local(*address) && error.is_there() => Ok(()),
                    other => other,
                }
            }
            LinkStep::RemoveAddress { name, address } => {
                let message = address_message(self.index_of(name).await?, *address);
                forgive(self.change(step, Change::Existing, Raw::new(Kind::DelAddress, &message)).await)
            }
            LinkStep::AddRoute(route) => self.change(step, Change::Create, Raw::new(Kind::NewRoute, &route_message(route))).await,
            LinkStep::RemoveRoute(key) => forgive(self.change(step, Change::Existing, Raw::new(Kind::DelRoute, &route_key(*key))).await),
            LinkStep::Delete { name } => match self.index(name).await {
                Ok(index) => forgive(self.change(step, Change::Existing, Raw::new(Kind::DelLink, &attributes::to(index, vec![]))).await),
                other => forgive(other.map(|_| ())),
            },
        }
    }

    /// Steps that are one `RTM_SETLINK`.
    async fn set(&self, step: &LinkStep) -> Result<(), NetlinkError> {
        let index = self.index(step.link().unwrap_or_default()).await?;
        let attribute = match step {
            LinkStep::Mark { .. } => LinkAttribute::IfAlias(LINK_ALIAS.to_owned()),
            LinkStep::SetMac { mac, .. } => LinkAttribute::Address(mac.bytes().to_vec()),
            LinkStep::SetMtu { mtu, .. } => LinkAttribute::Mtu(mtu.get().into()),
            LinkStep::SetLinkLocal { link_local, .. } => link_local_mode(*link_local),
            LinkStep::Enslave { master, .. } => LinkAttribute::Controller(self.index_of(master).await?),
            LinkStep::Release { .. } => LinkAttribute::Controller(0),
            LinkStep::Raise { .. } => return self.set_link(step, &attributes::flags(index, LinkFlags::Up)).await,
            LinkStep::Lower { .. } => return self.set_link(step, &attributes::flags(index, LinkFlags::empty())).await,
            _ => return Ok(()),
        };
        self.set_link(step, &attributes::to(index, vec![attribute])).await
    }

    async fn set_link(&self, step: &LinkStep, message: &LinkMessage) -> Result<(), NetlinkError> {
        self.change(step, Change::Existing, Raw::new(Kind::SetLink, message)).await
    }
}

/// What was to go and is gone is as it should be.
fn forgive(result: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    match result {
        Err(error) if error.is_gone() => Ok(()),
        other => other,
    }
}

fn link_local_mode(link_local: LinkLocal) -> LinkAttribute {
    let mode = match link_local {
        LinkLocal::Eui64 => In6AddrGenMode::Eui64,
        LinkLocal::None => In6AddrGenMode::None,
    };
    LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(mode)])])
}

fn address_message(index: u32, host: HostAddress) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = host.length();
    let address = host.address();
    message.attributes = vec![
        AddressAttribute::Address(address),
        AddressAttribute::Local(address),
        AddressAttribute::Protocol(AddressProtocol::from(ROUTE_PROTOCOL)),
    ];
    match address {
        IpAddr::V4(_) => message.header.family = AddressFamily::Inet,
        IpAddr::V6(_) => {
            // anycast gateways are on many devices on purpose: no duplicate address detection
            message.header.family = AddressFamily::Inet6;
            message.header.flags = AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
    }
    message
}

/// A message that names a route of ours and nobody else's.
fn route_key(key: RouteKey) -> RouteMessage {
    let mut message = RouteMessage::default();
    let header = &mut message.header;
    header.address_family = match key.prefix.family() {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    };
    header.destination_prefix_length = key.prefix.length();
    header.protocol = RouteProtocol::from(ROUTE_PROTOCOL);
    header.scope = RouteScope::NoWhere; // any
    message.attributes = vec![RouteAttribute::Table(key.table), RouteAttribute::Priority(key.metric)];
    if key.prefix.length() > 0 {
        message.attributes.push(RouteAttribute::Destination(RouteAddress::from(key.prefix.network())));
    }
    message
}

fn route_message(route: &Route) -> RouteMessage {
    let mut message = route_key(RouteKey::of(route));
    message.header.scope = RouteScope::Universe;
    match route.target {
        RouteTargetKind::Unreachable {} => message.header.kind = RouteType::Unreachable,
        RouteTargetKind::Via { gateway } => {
            message.header.kind = RouteType::Unicast;
            message.attributes.push(RouteAttribute::Gateway(RouteAddress::from(gateway)));
        }
    }
    message
}
