//! Where calls go: to the services of the term in which this controller leads, or away, with the name of the one that does.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use leafwall_api::LEADER_HINT;
use leafwall_api::v1::agents_server::AgentsServer;
use leafwall_api::v1::enrolment_server::EnrolmentServer;
use leafwall_api::v1::fabric_server::FabricServer;
use leafwall_api::v1::identities_server::IdentitiesServer;
use leafwall_api::v1::leadership_server::{Leadership, LeadershipServer};
use leafwall_api::v1::{LeadsReply, LeadsRequest};
use tokio::sync::{mpsc, watch};
use tonic::body::Body;
use tonic::codegen::http::{Request as HttpRequest, Response as HttpResponse};
use tonic::metadata::AsciiMetadataValue;
use tonic::server::NamedService;
use tonic::{Request, Response, Status};
use tower::Service;

use super::core::Command;
use super::desk::Desk;
use super::peer::caller;
use super::pen::Pen;
use super::term::Term;
use super::{agents, enrol, fabric, identities};
use crate::history::History;

/// How long a call waits for a controller that has just started to learn whether it leads.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who leads, as far as this controller knows.
#[derive(Clone)]
pub enum Seat {
    /// That is not known yet.
    Starting,
    /// This one.
    Own(Arc<Office>),
    /// Another one, at this address, or nobody that is known.
    Elsewhere(Option<String>),
}

/// What there is while this controller leads.
pub struct Office {
    pub commands: mpsc::Sender<Command>,
    pub pen: Pen,
    pub term: Term,
    agents: AgentsServer<agents::Service>,
    fabric: FabricServer<fabric::Service>,
    identities: IdentitiesServer<identities::Service>,
    enrolment: EnrolmentServer<enrol::Service>,
    leadership: LeadershipServer<Leads>,
}

impl Office {
    /// Opens it: all services of one term.
    pub fn new(commands: mpsc::Sender<Command>, history: History, desk: Desk, pen: Pen, term: Term) -> Self {
        let desk = Arc::new(desk);
        let store = pen.store.clone();
        Self {
            agents: AgentsServer::new(agents::Service::new(commands.clone(), store.clone())),
            fabric: FabricServer::new(fabric::Service::new(commands.clone(), history, store)),
            identities: IdentitiesServer::new(identities::Service::new(Arc::clone(&desk))),
            enrolment: EnrolmentServer::new(enrol::Service::new(desk)).max_decoding_message_size(enrol::REQUEST_MAX),
            leadership: LeadershipServer::new(Leads(pen.epoch.0)),
            commands,
            pen,
            term,
        }
    }
}

/// The service that says that this one leads, to whoever has a certificate.
pub struct Leads(u64);

#[tonic::async_trait]
impl Leadership for Leads {
    async fn leads(&self, request: Request<LeadsRequest>) -> Result<Response<LeadsReply>, Status> {
        caller(&request)?;
        Ok(Response::new(LeadsReply { epoch: self.0 }))
    }
}

/// A service that is there while this controller leads, and refuses otherwise.
pub struct Gate<S> {
    seat: watch::Receiver<Seat>,
    service: fn(&Office) -> S,
}

impl<S> Clone for Gate<S> {
    fn clone(&self) -> Self {
        Self { seat: self.seat.clone(), service: self.service }
    }
}

/// The agents'.
pub fn agents(seat: &watch::Receiver<Seat>) -> Gate<AgentsServer<agents::Service>> {
    Gate { seat: seat.clone(), service: |office| office.agents.clone() }
}

/// The one for people and their tools.
pub fn fabric(seat: &watch::Receiver<Seat>) -> Gate<FabricServer<fabric::Service>> {
    Gate { seat: seat.clone(), service: |office| office.fabric.clone() }
}

/// The one about certificates.
pub fn identities(seat: &watch::Receiver<Seat>) -> Gate<IdentitiesServer<identities::Service>> {
    Gate { seat: seat.clone(), service: |office| office.identities.clone() }
}

/// The one for devices without a certificate.
pub fn enrolment(seat: &watch::Receiver<Seat>) -> Gate<EnrolmentServer<enrol::Service>> {
    Gate { seat: seat.clone(), service: |office| office.enrolment.clone() }
}

/// The one that says who leads.
pub fn leadership(seat: &watch::Receiver<Seat>) -> Gate<LeadershipServer<Leads>> {
    Gate { seat: seat.clone(), service: |office| office.leadership.clone() }
}

impl<S: NamedService> NamedService for Gate<S> {
    const NAME: &'static str = S::NAME;
}

/// What is said to who comes to one that does not lead.
fn refusal(leader: Option<&str>) -> Status {
    let Some(leader) = leader else { return Status::unavailable("this controller does not lead, and knows of none that does: try again") };
    let mut status = Status::unavailable(format!("this controller does not lead: {leader} does"));
    // an address that is no header's value is not told in one
    if let Ok(value) = AsciiMetadataValue::try_from(leader) {
        status.metadata_mut().insert(LEADER_HINT, value);
    }
    status
}

async fn office(mut seat: watch::Receiver<Seat>) -> Result<Arc<Office>, Status> {
    let known = tokio::time::timeout(PATIENCE, seat.wait_for(|seat| !matches!(seat, Seat::Starting))).await;
    let Ok(Ok(known)) = known else { return Err(refusal(None)) };
    match &*known {
        // what is asked between the end of a lease and its holder's noticing it is not answered
        Seat::Own(office) if office.term.holds() => Ok(Arc::clone(office)),
        Seat::Own(_) | Seat::Starting => Err(refusal(None)),
        Seat::Elsewhere(leader) => Err(refusal(leader.as_deref())),
    }
}

impl<S> Service<HttpRequest<Body>> for Gate<S>
where
    S: Service<HttpRequest<Body>, Response = HttpResponse<Body>, Error = Infallible> + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = HttpResponse<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        let (seat, service) = (self.seat.clone(), self.service);
        Box::pin(async move {
            match office(seat).await {
                // generated services are always ready
                Ok(office) => service(&office).call(request).await,
                Err(refusal) => Ok(refusal.into_http()),
            }
        })
    }
}
