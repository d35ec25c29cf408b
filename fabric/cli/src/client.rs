//! A controller, as its clients see it.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use leafwall_agent::daemon::identity::Identity;
use leafwall_api::v1::fabric_client::FabricClient;
use leafwall_api::v1::identities_client::IdentitiesClient;
use leafwall_api::v1::leadership_client::LeadershipClient;
use leafwall_api::v1::upload::Part;
use leafwall_api::v1::{ApplyHead, FilePiece, LeadsRequest, Upload};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Status};

use crate::{Outcome, chain, input, table};

/// The most bytes of a file in one message: far below the 4 MiB that gRPC allows, and enough that nearly every file is one.
const PIECE: usize = 256 << 10;
/// The largest answer that is taken: the status of thousands of devices with all their differences, and no more than any machine has.
const ANSWER_MAX: usize = 64 << 20;
/// How long connecting may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two signs of life while an answer is waited for; one that is not answered for as long is dead.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// How long one of several controllers may take to say whether it leads, how long one that leads is looked for, and the pause between two looks.
const PATIENCE_AMONG: Duration = Duration::from_secs(2);
const SUCCESSION: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(300);

/// Which controller, and who asks.
#[derive(clap::Args)]
pub struct Connection {
    /// Where the controller is: https://HOST:PORT; of several, separated by commas, whichever leads
    #[arg(long, env = "LEAFWALL_CONTROLLER", value_name = "URL,…", value_delimiter = ',', required = true)]
    controller: Vec<String>,
    /// Directory with certificates and keys [default: ~/.config/leafwall]
    #[arg(long, env = "LEAFWALL_IDENTITY", value_name = "DIR")]
    identity: Option<PathBuf>,
}

/// What is asked.
pub type Client = FabricClient<Channel>;

impl Connection {
    /// Who asks.
    pub fn identity(&self) -> Result<Identity, Outcome> {
        let directory = match (&self.identity, std::env::home_dir()) {
            (Some(directory), _) => directory.clone(),
            (None, Some(home)) => home.join(".config/leafwall"),
            (None, None) => return Err(could_not("there is no home directory", "name a directory with `--identity DIR`")),
        };
        let hint = "`leafwall controller certificate` makes an identity; `--identity DIR` says where it is";
        Identity::read(&directory).map_err(|error| could_not(&chain(&error), hint))
    }

    /// Connects, for what is asked of the fabric.
    pub async fn open(&self) -> Result<Client, Outcome> {
        Ok(FabricClient::new(self.channel().await?).max_decoding_message_size(ANSWER_MAX))
    }

    /// Connects, for what is asked about identities.
    pub async fn identities(&self) -> Result<IdentitiesClient<Channel>, Outcome> {
        Ok(IdentitiesClient::new(self.channel().await?))
    }

    /// To the one that leads. While another one takes over from one that died, there is none for some seconds.
    async fn channel(&self) -> Result<Channel, Outcome> {
        let tls = self.identity()?.tls();
        let endpoints: Result<Vec<Endpoint>, Outcome> = self.controller.iter().map(|url| endpoint(url, &tls)).collect();
        let endpoints = endpoints?;
        if let [only] = endpoints.as_slice() {
            let url = self.controller.first().map(String::as_str).unwrap_or_default();
            return only.connect().await.map_err(|error| unreachable(url, &chain(&error)));
        }
        let until = Instant::now() + SUCCESSION;
        loop {
            let mut failed = String::new();
            // one after the other: the first that leads is the only one
            for (url, endpoint) in self.controller.iter().zip(&endpoints) {
                let (channel, status) = match leads(endpoint).await {
                    Ok(channel) => return Ok(channel),
                    Err(Asked::Unreachable(cause)) => {
                        let _ = writeln!(failed, "{url}: {}", table::clean(&cause));
                        continue;
                    }
                    Err(Asked::Refused(channel, status)) => (channel, status),
                };
                // whoever does not know us is as good as any to hear it from
                if !matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) {
                    return Ok(channel);
                }
                let _ = writeln!(failed, "{url}: {}", table::clean(status.message()));
            }
            if Instant::now() > until {
                let why = format!("none of the controllers leads:\n{}", failed.trim_end());
                return Err(could_not(&why, "do they reach etcd? `/readyz` at their `--metrics` says more"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Why one that was asked is not the one.
enum Asked {
    Unreachable(String),
    Refused(Channel, Status),
}

async fn leads(endpoint: &Endpoint) -> Result<Channel, Asked> {
    let asked = async {
        let channel = endpoint.connect().await.map_err(|error| Asked::Unreachable(chain(&error)))?;
        match LeadershipClient::new(channel.clone()).leads(LeadsRequest {}).await {
            Ok(_) => Ok(channel),
            Err(status) => Err(Asked::Refused(channel, status)),
        }
    };
    match tokio::time::timeout(PATIENCE_AMONG, asked).await {
        Ok(asked) => asked,
        Err(_) => Err(Asked::Unreachable("no answer".to_owned())),
    }
}

fn endpoint(url: &str, tls: &ClientTlsConfig) -> Result<Endpoint, Outcome> {
    if !url.starts_with("https://") {
        return Err(could_not(&format!("`{url}` is no address of a controller"), "as in `https://controller.example:7443`"));
    }
    let endpoint = Endpoint::from_shared(url.to_owned()).and_then(|endpoint| endpoint.tls_config(tls.clone()));
    let endpoint =
        endpoint.map_err(|error| could_not(&format!("cannot connect to `{url}`: {}", chain(&error)), "are URL and identity right?"))?;
    Ok(endpoint.connect_timeout(PATIENCE).http2_keep_alive_interval(SIGN_OF_LIFE).keep_alive_timeout(SIGN_OF_LIFE))
}

/// Runs a command that talks to a controller.
pub fn run(work: impl Future<Output = Result<Outcome, Outcome>>) -> Outcome {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work).unwrap_or_else(|outcome| outcome),
        Err(error) => Outcome::CouldNot(format!("cannot start: {error}")),
    }
}

fn could_not(why: &str, hint: &str) -> Outcome {
    Outcome::CouldNot(format!("{why}\nhint: {hint}"))
}

fn unreachable(url: &str, cause: &str) -> Outcome {
    could_not(&format!("cannot reach the controller at `{url}`: {}", table::clean(cause)), hint(cause))
}

/// What to do about a connection that failed.
fn hint(cause: &str) -> &'static str {
    let cause = cause.to_ascii_lowercase();
    if cause.contains("certificate") || cause.contains("alert") || cause.contains("unknownissuer") || cause.contains("unknown issuer") {
        "the other side's certificate was refused: do identity and controller come from the same authority (`ca.pem`)?"
    } else if cause.contains("dns") || cause.contains("lookup") {
        "is the host's name right? `--controller` or LEAFWALL_CONTROLLER"
    } else {
        "does it run there? `--controller` or LEAFWALL_CONTROLLER"
    }
}

/// A call that failed: refusals are problems, anything else could not run.
pub fn refused(status: &Status) -> Outcome {
    let mut why = table::clean_lines(status.message()).trim_end().to_owned();
    match status.code() {
        Code::InvalidArgument | Code::FailedPrecondition | Code::Aborted | Code::NotFound | Code::AlreadyExists => {
            eprintln!("leafwall: {why}");
            Outcome::Problems
        }
        Code::Unauthenticated => could_not(&format!("the controller does not know you: {why}"), "is it the right `--identity`?"),
        Code::PermissionDenied => could_not(&format!("the controller refuses: {why}"), "the role in your certificate does not allow it"),
        _ => {
            if let Some(source) = status.source() {
                why = format!("{why}: {}", table::clean(&chain(source)));
            }
            let hint = hint(&why);
            could_not(&format!("the controller does not answer: {why}"), hint)
        }
    }
}

/// What is sent of a directory.
pub fn upload(directory: &Path, head: ApplyHead) -> Result<Vec<Upload>, Outcome> {
    let files = input::files(directory).map_err(Outcome::CouldNot)?;
    let head = Upload { part: Some(Part::Head(head)) };
    let pieces = files.iter().flat_map(|(path, bytes)| pieces(path, bytes)).map(|piece| Upload { part: Some(Part::Piece(piece)) });
    Ok(std::iter::once(head).chain(pieces).collect())
}

/// A file in pieces; at least one, so that an empty file is there, too.
fn pieces(path: &str, bytes: &[u8]) -> Vec<FilePiece> {
    let piece = |bytes: &[u8]| FilePiece { path: path.to_owned(), bytes: bytes.to_vec() };
    if bytes.is_empty() { vec![piece(&[])] } else { bytes.chunks(PIECE).map(piece).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_sum_of_its_pieces() {
        for (length, count) in [(0, 1), (1, 1), (PIECE, 1), (PIECE + 1, 2), (3 * PIECE, 3)] {
            let bytes: Vec<u8> = (0..=255).cycle().take(length).collect();
            let pieces = pieces("a.yaml", &bytes);
            assert_eq!(pieces.len(), count, "{length}");
            assert!(pieces.iter().all(|piece| piece.path == "a.yaml" && piece.bytes.len() <= PIECE));
            assert_eq!(pieces.into_iter().flat_map(|piece| piece.bytes).collect::<Vec<_>>(), bytes);
        }
    }

    #[test]
    fn the_head_comes_first_and_the_table_of_numbers_is_sent() {
        let directory = std::env::temp_dir().join(format!("leafwall-upload-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(directory.join("scenarios")).unwrap();
        for name in ["b.yaml", "allocation.yaml", "a.yml", "notes.txt", "scenarios/c.yaml"] {
            std::fs::write(directory.join(name), name).unwrap();
        }
        let Ok(sent) = upload(&directory, ApplyHead::default()) else { panic!("it is not sent") };
        std::fs::remove_dir_all(&directory).unwrap();
        let paths: Vec<_> = sent
            .into_iter()
            .map(|upload| match upload.part {
                Some(Part::Piece(piece)) => piece.path,
                _ => "head".to_owned(),
            })
            .collect();
        assert_eq!(paths, ["head", "a.yml", "allocation.yaml", "b.yaml"]);
    }

    #[test]
    fn refusals_are_problems_and_silence_is_not() {
        assert!(matches!(refused(&Status::failed_precondition("another plan")), Outcome::Problems));
        assert!(matches!(refused(&Status::permission_denied("no")), Outcome::CouldNot(why) if why.contains("role")));
        assert!(matches!(refused(&Status::unavailable("gone")), Outcome::CouldNot(why) if why.contains("\nhint: ")));
        assert!(hint("received fatal alert: UnknownCA").contains("authority"));
    }
}
