//! The service for devices that have no certificate yet. It is alone on its listener.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use leafwall_api::v1;
use tonic::{Request, Response, Status};

use super::core::Caller;
use super::desk::{Desk, DeskError};
use super::identities::status;
use super::limits::Limits;
use super::wall_clock;
use crate::audit::Role;

/// The longest message: a request for a certificate has some hundred bytes.
pub const REQUEST_MAX: usize = 8 << 10;
/// How long somebody waits for a refusal. One who guesses is slowed down by it, and one who made a mistake does not notice.
const WAIT: Duration = Duration::from_secs(1);

/// The service.
pub struct Service {
    desk: Arc<Desk>,
    limits: Mutex<Limits>,
    start: Instant,
}

impl Service {
    pub fn new(desk: Arc<Desk>) -> Self {
        Self { desk, limits: Mutex::default(), start: Instant::now() }
    }

    fn limits<T>(&self, ask: impl FnOnce(&mut Limits, u64) -> T) -> T {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        ask(&mut self.limits.lock().unwrap_or_else(PoisonError::into_inner), now)
    }

    async fn refused(&self, address: IpAddr, device: &str, error: &DeskError) {
        if let Some(others) = self.limits(Limits::write) {
            let who = Caller { who: address.to_string(), role: Role::Nobody };
            let others = if others > 0 { format!(" ({others} more refusals before it are not written down)") } else { String::new() };
            // whatever stands there, it stays one line of the log
            let device: String = device.chars().take(80).map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
            self.desk.refused(who, format!("enrol `{device}`{others}"), error.to_string()).await;
        }
    }
}

#[tonic::async_trait]
impl v1::enrolment_server::Enrolment for Service {
    async fn enrol(&self, request: Request<v1::EnrolRequest>) -> Result<Response<v1::Issued>, Status> {
        let address = request.remote_addr().ok_or_else(|| Status::internal("a connection without an address"))?.ip();
        if !self.limits(|limits, now| limits.take(address, now)) {
            return Err(Status::resource_exhausted("too many refusals for your address: try again in a minute"));
        }
        let request = request.into_inner();
        let device = request.device.clone();
        match self.desk.enrol(&address.to_string(), request, wall_clock()).await {
            Ok(issued) => {
                self.limits(|limits, _| limits.give_back(address));
                Ok(Response::new(issued))
            }
            Err(error) => {
                self.refused(address, &device, &error).await;
                tokio::time::sleep(WAIT).await;
                Err(status(&error))
            }
        }
    }
}
