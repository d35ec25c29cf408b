//! The admission webhook: an HTTPS server that answers the API server's questions, and the object that makes it ask.
//!
//! Flow: a connection → TLS with the certificate of the day ([`certificate`]) → one request after the other ([`serve`]) → [`crate::admission`], which is pure.
//!
//! Guarantees: what is sent is bounded in size and time, and so are connections and what is read at once; whatever the bytes are, the answer is an error and
//! nothing else happens. Assumptions: none about who asks. The answer depends on the question and the operator's bounds alone, changes nothing, and tells a
//! stranger no more than the `Firewall` object tells everybody in the cluster.
//!
//! Caveats: it is a convenience. Where it is away, the API server takes the object, and the object's status says later what the webhook would have said.

mod certificate;
mod configuration;
mod serve;

pub use certificate::{Certificate, CertificateError};
pub use configuration::{ConfigurationError, configuration, yaml};
pub use serve::{Answer, BODY_MAX, PATH, Webhook, WebhookError};
