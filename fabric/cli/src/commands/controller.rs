//! `leafwall controller …`

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Subcommand;
use leafwall_agent::args::LogFormat;
use leafwall_controller::certificates::{Authority, CertificateError, PeerRole};
use leafwall_controller::server::{Bound, Keep, RolloutSettings, Settings};
use leafwall_controller::store::EtcdUrl;
use leafwall_topology::Name;

use crate::{Outcome, chain};

/// Prepares a controller, says who may talk to it, and runs it.
#[derive(clap::Args)]
pub struct Args {
    /// What is done.
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Makes a controller's directory: the fabric's certificate authority, the controller's certificate, and the key that signs revisions
    #[command(after_help = "Whoever has ca.key or sign.key can be anybody: the directory is its owner's alone.\n\nExample:\n  \
                            leafwall controller init /var/lib/leafwall\n  \
                            leafwall controller certificate /var/lib/leafwall --name ada --role operator -o ~/.config/leafwall")]
    Init {
        /// The controller's directory
        state: PathBuf,
    },
    /// Runs a controller for ever
    #[command(
        after_help = "Several controllers on one etcd, each on a machine of its own with a copy of one directory (ca.pem, own.pem, own.key, sign.key; \
                            ca.key where devices enrol): one of them leads, and another one does within five seconds of its end. Agents and clients are \
                            given the addresses of all.\n\nExample:\n  \
                            leafwall controller run /var/lib/leafwall --listen 10.0.0.1:7443 --enroll-listen 10.0.0.1:7444\n  \
                            leafwall controller run /var/lib/leafwall --listen 10.0.0.1:7443 --advertise https://10.0.0.1:7443 \\\n    \
                            --store etcd://10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379 --store-identity /etc/leafwall/etcd"
    )]
    Run {
        /// The controller's directory
        state: PathBuf,
        /// Where it listens
        #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:7443")]
        listen: SocketAddr,
        /// Where devices without a certificate may enrol with a token of `leafwall enroll`; agents ask at port 7444 [default: nowhere]
        #[arg(long, value_name = "ADDRESS:PORT")]
        enroll_listen: Option<SocketAddr>,
        /// Where it answers to Prometheus: /metrics, /healthz, /readyz (ready: it leads, and the store answers) [default: nowhere]
        #[arg(long, value_name = "ADDRESS:PORT")]
        metrics: Option<SocketAddr>,
        /// Where revisions and the audit log are kept: etcd://HOST:PORT[,HOST:PORT…][/PREFIX] [default: a file in the directory]
        #[arg(long, value_name = "URL", requires = "advertise")]
        store: Option<EtcdUrl>,
        /// Directory with the certificates to speak to etcd with: ca.pem, own.pem, own.key [default: in the clear]
        #[arg(long, value_name = "DIR", requires = "store")]
        store_identity: Option<PathBuf>,
        /// Where agents and clients reach this controller, as the others tell them while it leads
        #[arg(long, value_name = "URL", requires = "store", value_parser = advertised)]
        advertise: Option<String>,
        /// How the log is written, to stderr
        #[arg(long, value_enum, default_value_t, env = "LEAFWALL_LOG_FORMAT")]
        log_format: LogFormat,
        /// Give devices so many times as long to prepare and to be confirmed: for emulated ones
        #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100), hide = true)]
        patience: u64,
    },
    /// Writes an identity: the directory that an agent or a client needs to talk to the controller
    #[command(after_help = "An agent is called like its device. Nothing is overwritten.\n\nExample:\n  \
                            leafwall controller certificate /var/lib/leafwall --name leaf-01 --role agent -o leaf-01\n  \
                            leafwall controller certificate /var/lib/leafwall --name ci --role tenant --tenant acme -o acme")]
    Certificate {
        /// The controller's directory
        state: PathBuf,
        /// Whose it is: a device for an agent, else what stands in history and audit log
        #[arg(long)]
        name: String,
        /// What they may do: agent, operator (everything), tenant (its own objects), viewer (look)
        #[arg(long)]
        role: PeerRole,
        /// Whose objects, for role tenant
        #[arg(long)]
        tenant: Option<Name>,
        /// Where to write
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
    },
}

impl Args {
    /// How the log is written, for what runs for ever.
    pub const fn log_format(&self) -> Option<LogFormat> {
        match self.what {
            What::Run { log_format, .. } => Some(log_format),
            What::Init { .. } | What::Certificate { .. } => None,
        }
    }
}

/// Does it.
pub fn run(args: Args) -> Outcome {
    match args.what {
        What::Init { state } => ended(Authority::create(&state).map(|_| format!("`{}` is a controller's directory now", state.display()))),
        What::Run { state, listen, enroll_listen, metrics, patience, store, store_identity, advertise, .. } => {
            let keep = match (store, advertise) {
                (Some(url), Some(advertise)) => Keep::Etcd { url, identity: store_identity, advertise },
                // clap sees to it that there are both or none
                _ => Keep::File,
            };
            serve(Settings { state, rollout: patient(patience), keep }, listen, enroll_listen, metrics)
        }
        What::Certificate { state, name, role, tenant, output } => {
            let issued = Authority::load(&state).and_then(|authority| authority.issue(&name, role, tenant, &output));
            ended(issued.map(|()| format!("`{}` is the identity of `{name}`, role {role}", output.display())))
        }
    }
}

/// An address that agents and clients can be told.
fn advertised(text: &str) -> Result<String, String> {
    let address =
        text.strip_prefix("https://").filter(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/'));
    address.map(|_| text.to_owned()).ok_or_else(|| "expected https://HOST:PORT".to_owned())
}

/// The usual times, so many times over.
fn patient(times: u64) -> RolloutSettings {
    let usual = RolloutSettings::default();
    RolloutSettings {
        prepare_within: usual.prepare_within * times,
        apply_within: usual.apply_within * times,
        confirm_within: usual.confirm_within * times,
        reconnect_within: usual.reconnect_within * times,
        finish_within: usual.finish_within * times,
        ..usual
    }
}

fn serve(settings: Settings, listen: SocketAddr, enroll_listen: Option<SocketAddr>, metrics: Option<SocketAddr>) -> Outcome {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Outcome::CouldNot(format!("cannot start: {error}")),
    };
    let served = runtime.block_on(async {
        let mut bound = Bound::new(settings, listen).await?;
        tracing::info!(address = %bound.address(), "listens");
        if let Some(address) = enroll_listen {
            let (more, address) = bound.enrolment(address).await?;
            bound = more;
            tracing::info!(%address, "lets devices enrol");
        }
        if let Some(address) = metrics {
            let (more, address) = bound.metrics(address).await?;
            bound = more;
            tracing::info!(%address, "answers to Prometheus");
        }
        bound.serve().await
    });
    match served {
        Ok(()) => Outcome::CouldNot("the controller ended".to_owned()),
        Err(error) => Outcome::CouldNot(chain(&error)),
    }
}

fn ended(done: Result<String, CertificateError>) -> Outcome {
    match done {
        Ok(what) => {
            eprintln!("{what}");
            Outcome::Fine
        }
        Err(error) => Outcome::CouldNot(chain(&error)),
    }
}
