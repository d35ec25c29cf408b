//! The command line below `leafwall agent`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use leafwall_metrics::Listener;
use leafwall_topology::Name;
use tracing::Instrument;

use crate::cluster::ClusterFile;
use crate::daemon::device::ThisDevice;
use crate::daemon::enrol::{self, Enrolment};
use crate::daemon::identity::OWN_CERTIFICATE;
use crate::daemon::meter::Meter;
use crate::daemon::{self, Settings};
use crate::frr::Frr;
use crate::nftables::Memory;
use crate::once::{Options, compare, once};
use crate::report::{Backend, chain};
use crate::sonic::Sonic;
use crate::sonic::redis::Address;

/// `leafwall agent …`
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// Make this device what the artefacts in DEVICE_DIR say, once, and report what differs
    #[arg(long, value_name = "DEVICE_DIR", required_unless_present = "controller", conflicts_with = "controller")]
    pub once: Option<PathBuf>,
    /// With --once: only report what differs from DEVICE_DIR, and change nothing
    #[arg(long, requires = "once")]
    pub dry_run: bool,
    /// Run for ever, and make this device what the controller there says: https://HOST:PORT; of several, separated by commas, whichever leads
    #[arg(long, value_name = "URL,…", requires = "device", value_delimiter = ',')]
    pub controller: Vec<String>,
    /// Which device this is: the name in its certificate
    #[arg(long, value_name = "NAME", requires = "controller")]
    pub device: Option<Name>,
    /// Where the agent keeps its journal and artefacts
    #[arg(long, value_name = "DIR", default_value = "/var/lib/leafwall")]
    pub state: PathBuf,
    /// Where the agent's certificate and the controller's keys are: ca.pem, own.pem, own.key, controller.pub
    #[arg(long, value_name = "DIR", default_value = "/etc/leafwall")]
    pub identity: PathBuf,
    /// Where there is no certificate yet: the token that `leafwall enroll` printed for this device, in a file, or - for stdin
    #[arg(long, value_name = "FILE|-", requires = "controller")]
    pub enroll_token: Option<PathBuf>,
    /// Where the controller lets devices enrol [default: the controllers' hosts, port 7444]
    #[arg(long, value_name = "URL", requires = "enroll_token")]
    pub enroll_at: Option<String>,
    /// Where the agent answers to Prometheus: /metrics, /healthz, /readyz [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT", requires = "controller")]
    pub metrics: Option<SocketAddr>,
    /// How the log is written, to stderr
    #[arg(long, value_enum, default_value_t, env = "LEAFWALL_LOG_FORMAT")]
    pub log_format: LogFormat,
    /// Seconds between two comparisons of the whole device with what was confirmed, for what no event tells
    #[arg(long, value_name = "S", default_value_t = 60)]
    pub compare_every: u64,
    /// Seconds that sessions and EVPN routes may take to come back after a change, before the change is taken back
    #[arg(long, value_name = "S", default_value_t = 10)]
    pub health_grace: u64,
    /// Report drift without repairing it
    #[arg(long)]
    pub no_repair: bool,
    /// Where FRR's daemons have their sockets (their option -N)
    #[arg(long, value_name = "NAME", value_parser = parse_pathspace)]
    pub frr_pathspace: Option<String>,
    /// On SONiC: where its Redis listens, the path of a socket or HOST:PORT
    #[arg(long, value_name = "ADDRESS", default_value_t = Address::default())]
    pub redis: Address,
    /// On SONiC: the file that it loads when it starts, into which goes what was confirmed
    #[arg(long, value_name = "FILE", default_value = "/etc/sonic/config_db.json")]
    pub config_db: PathBuf,
    /// Where BGP passwords are, a file each by the name of its `passwordRef`
    #[arg(long, value_name = "DIR")]
    pub secrets: Option<PathBuf>,
    /// How the report is written
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Seconds to wait at most for zebra to see the links, and for the daemons to settle
    #[arg(long, value_name = "S", default_value_t = 60)]
    pub timeout: u64,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// An object a line, with its fields beside the message
    Json,
}

/// A name that is a directory's and no more than that.
fn parse_pathspace(text: &str) -> Result<String, String> {
    let legal = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if legal { Ok(text.to_owned()) } else { Err("expected letters, digits, `-` and `_`".into()) }
}

/// Runs the daemon, and answers who asks how it is.
async fn metered(settings: Settings, device: ThisDevice, metrics: Option<SocketAddr>) -> Result<Infallible, String> {
    let meter = Meter::default();
    let Some(address) = metrics else { return daemon::run_metered(settings, device, meter).await.map_err(|error| chain(&error)) };
    let listener = Listener::bind(address).await.map_err(|error| chain(&error))?;
    tracing::info!(address = %listener.address(), "answers to Prometheus");
    let registry = meter.registry();
    tokio::select! {
        never = listener.serve(registry, meter.clone()) => match never {},
        ended = daemon::run_metered(settings, device, meter) => ended.map_err(|error| chain(&error)),
    }
}

/// Enrols, where that was not done before.
async fn enrolled(from: &Path, at: Option<&str>, controllers: &[String], device: &Name, identity: &Path) -> Result<(), String> {
    // once there is a certificate, the token and its file may be gone
    if identity.join(OWN_CERTIFICATE).exists() {
        return Ok(());
    }
    let text = if from == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(from) };
    let text = text.map_err(|error| format!("can't read the token from `{}`: {error}", from.display()))?;
    let token = text.parse().map_err(|error| format!("`{}`: {error}", from.display()))?;
    let beside = || controllers.iter().map(|controller| enrol::beside(controller)).collect();
    let controllers = at.map_or_else(beside, |at| Ok(vec![at.to_owned()])).map_err(|error| chain(&error))?;
    let enrolment = Enrolment { device: device.clone(), controllers, token, identity: identity.to_owned() };
    enrol::enrol(&enrolment).await.map_err(|error| chain(&error))
}

/// Runs the command. 0: nothing differs; 1: something does; 2: it could not run, or not go on.
pub async fn run(arguments: AgentArgs) -> ExitCode {
    let options = Options {
        frr: Frr::new(arguments.frr_pathspace),
        timeout: Duration::from_secs(arguments.timeout),
        secrets: arguments.secrets,
        // a run by hand takes what it is given and nothing else
        cluster: arguments.once.is_none().then(|| ClusterFile::new(&arguments.state)),
        filters: Memory::default(),
        sonic: Sonic { address: arguments.redis, saved: arguments.config_db },
    };
    let outcome = match (arguments.once, arguments.controller, arguments.device) {
        (Some(directory), ..) if arguments.dry_run => {
            compare(&directory, &options, &Backend::ALL.into()).await.map_err(|error| chain(&error))
        }
        (Some(directory), ..) => once(&directory, &options).await.map_err(|error| chain(&error)),
        (None, controllers, Some(device)) if !controllers.is_empty() => {
            if let Some(from) = &arguments.enroll_token {
                let at = arguments.enroll_at.as_deref();
                if let Err(error) = enrolled(from, at, &controllers, &device, &arguments.identity).await {
                    eprintln!("error: {error}");
                    return ExitCode::from(2);
                }
            }
            let settings = Settings {
                device,
                controllers,
                state: arguments.state,
                identity: arguments.identity,
                compare_every: Duration::from_secs(arguments.compare_every),
                repair: !arguments.no_repair,
                health_grace: Duration::from_secs(arguments.health_grace),
            };
            let span = tracing::info_span!("agent", device = %settings.device);
            match metered(settings, ThisDevice::new(options), arguments.metrics).instrument(span).await {
                Ok(never) => match never {},
                Err(error) => Err(error),
            }
        }
        // clap sees to it
        (None, ..) => Err("neither --once nor --controller with --device".into()),
    };
    let report = match outcome {
        Ok(report) => report,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    match arguments.format {
        Format::Table => print!("{report}"),
        Format::Json => match serde_json::to_string_pretty(&report) {
            Ok(text) => println!("{text}"),
            Err(error) => {
                eprintln!("error: can't print the report: {error}");
                return ExitCode::from(2);
            }
        },
    }
    if report.is_equal() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
