//! The service that makes tokens and renews certificates, for those who have one.

use std::sync::Arc;

use leafwall_api::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

use super::core::{Caller, Command};
use super::desk::{Desk, DeskError};
use super::peer::caller;
use super::wall_clock;
use crate::audit::{Outcome, Role};

/// The service.
pub struct Service {
    desk: Arc<Desk>,
    commands: mpsc::Sender<Command>,
}

impl Service {
    pub fn new(desk: Arc<Desk>, commands: mpsc::Sender<Command>) -> Self {
        Self { desk, commands }
    }

    /// By way of the core, which does not let anybody fill the log.
    async fn note(&self, caller: Caller, what: &str, reason: String) {
        let _ = self.commands.send(Command::Note { caller, what: what.to_owned(), outcome: Outcome::Refused { reason } }).await;
    }

    async fn allowed<T>(&self, request: &Request<T>, what: &str, may: fn(&Role) -> bool) -> Result<Caller, Status> {
        let caller = caller(request)?;
        if may(&caller.role) {
            return Ok(caller);
        }
        let reason = format!("`{}` may not do this", caller.who);
        self.note(caller, what, reason.clone()).await;
        Err(Status::permission_denied(reason))
    }

    async fn refused(&self, caller: Caller, what: &str, error: DeskError) -> Status {
        self.note(caller, what, error.to_string()).await;
        status(&error)
    }
}

/// What is said of it. What failed within the controller is told with its causes, to its own log.
pub fn status(error: &DeskError) -> Status {
    let code = match error {
        DeskError::Unknown | DeskError::OtherDevice { .. } | DeskError::Expired { .. } | DeskError::Used { .. } => Code::PermissionDenied,
        DeskError::NoDevice | DeskError::Request(_) | DeskError::TooLong(_) => Code::InvalidArgument,
        DeskError::NoId(_) => Code::NotFound,
        DeskError::NoAuthority => Code::FailedPrecondition,
        DeskError::Sign(_) | DeskError::Random(_) | DeskError::Store(_) | DeskError::Audit(_) => {
            tracing::error!(error = error as &dyn std::error::Error, "no certificate or token could be made");
            Code::Unavailable
        }
    };
    Status::new(code, error.to_string())
}

#[tonic::async_trait]
impl v1::identities_server::Identities for Service {
    type TokensStream = ReceiverStream<Result<v1::Token, Status>>;

    async fn issue_token(&self, request: Request<v1::TokenRequest>) -> Result<Response<v1::IssuedToken>, Status> {
        let caller = self.allowed(&request, "issue a token", |role| *role == Role::Operator).await?;
        match self.desk.issue(caller.clone(), request.into_inner(), wall_clock()).await {
            Ok(issued) => Ok(Response::new(issued)),
            Err(error) => Err(self.refused(caller, "issue a token", error).await),
        }
    }

    async fn tokens(&self, request: Request<v1::TokensRequest>) -> Result<Response<Self::TokensStream>, Status> {
        self.allowed(&request, "list tokens", |role| matches!(role, Role::Operator | Role::Viewer)).await?;
        let tokens = self.desk.tokens().await.map_err(|error| status(&error))?;
        let (send, answer) = mpsc::channel(4);
        tokio::spawn(async move {
            for token in tokens {
                if send.send(Ok(token)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(answer)))
    }

    async fn revoke_token(&self, request: Request<v1::RevokeTokenRequest>) -> Result<Response<v1::RevokedToken>, Status> {
        let caller = self.allowed(&request, "revoke a token", |role| *role == Role::Operator).await?;
        match self.desk.revoke(caller.clone(), &request.into_inner().id).await {
            Ok(device) => Ok(Response::new(v1::RevokedToken { device: device.to_string() })),
            Err(error) => Err(self.refused(caller, "revoke a token", error).await),
        }
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::Issued>, Status> {
        let caller = self.allowed(&request, "renew a certificate", |role| matches!(role, Role::Agent { .. })).await?;
        let Role::Agent { device } = caller.role.clone() else { return Err(Status::permission_denied("only an agent may do this")) };
        let certificates = request.peer_certs().ok_or_else(|| Status::unauthenticated("no certificate"))?;
        let own = certificates.first().ok_or_else(|| Status::unauthenticated("no certificate"))?;
        match self.desk.renew(caller.clone(), &device, own).await {
            Ok(issued) => Ok(Response::new(issued)),
            Err(error) => Err(self.refused(caller, "renew a certificate", error).await),
        }
    }
}
