//! `leafwall plan DIR`

use std::path::PathBuf;

use leafwall_api::convert;
use leafwall_api::v1::{ApplyHead, ObjectChange, Planned, ReachChange};

use crate::client::{self, Connection};
use crate::table::{clean, clean_lines, print, table};
use crate::{Outcome, output};

/// Asks the controller what a fabric's directory would change: devices and the files of each, and what it opens and closes, for whom. Nothing is changed.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  leafwall plan containerlab/fra1 --out plan\n  leafwall apply containerlab/fra1 --plan plan --reason 'a server for acme'"
)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    /// The fabric's directory
    directory: PathBuf,
    /// Write the plan's digest there, for `leafwall apply --plan`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Asks, prints, and keeps the digest.
pub fn run(args: &Args) -> Outcome {
    client::run(async {
        let upload = client::upload(&args.directory, ApplyHead::default())?;
        let mut client = args.connection.open().await?;
        let planned = client.plan(tokio_stream::iter(upload)).await.map_err(|status| client::refused(&status))?.into_inner();
        tell(&planned)?;
        if let Some(out) = &args.out {
            let digest = convert::digest("digest", &planned.digest)
                .map_err(|error| Outcome::CouldNot(format!("the controller's answer: {error}")))?;
            output::put(out, &format!("{digest}\n")).map_err(Outcome::CouldNot)?;
        }
        Ok(Outcome::Fine)
    })
}

/// Tells what would change, or why it can't be.
pub fn tell(planned: &Planned) -> Result<(), Outcome> {
    eprint!("{}", clean_lines(&planned.diagnostics));
    if planned.refused {
        return Err(Outcome::Problems);
    }
    if planned.devices.is_empty() && planned.objects.is_empty() {
        eprintln!("nothing would change");
    } else {
        print(&changes(planned));
        print(&planned.reach.iter().map(in_words).collect::<String>());
    }
    Ok(())
}

/// `opens tcp 443 from `a` to `b`, such as …`, and whom it is about.
fn in_words(change: &ReachChange) -> String {
    let at = if change.firewall.is_empty() { String::new() } else { format!(" by the rules of firewall `{}`", change.firewall) };
    let about = if change.tenants.is_empty() { String::new() } else { format!(" (tenants: {})", change.tenants.join(", ")) };
    let ReachChange { change, from, to, what, packet, .. } = change;
    clean(&format!("{change} {what} from `{from}` to `{to}`{at}, such as {packet}{about}")) + "\n"
}

fn changes(planned: &Planned) -> String {
    // a tenant is told of its objects
    if !planned.objects.is_empty() {
        let row = |change: &ObjectChange| [clean(&change.kind), clean(&change.name), clean(&change.change)];
        return table(["KIND", "NAME", "CHANGE"], &planned.objects.iter().map(row).collect::<Vec<_>>());
    }
    let rows: Vec<_> =
        planned.devices.iter().map(|change| [clean(&change.device), clean(&change.kind), clean(&change.files.join(" "))]).collect();
    table(["DEVICE", "CHANGE", "FILES"], &rows)
}

#[cfg(test)]
mod tests {
    use leafwall_api::v1::DeviceChange;

    use super::*;

    #[test]
    fn each_device_has_a_line() {
        let change = |device: &str, kind: &str, files: &[&str]| DeviceChange {
            device: device.to_owned(),
            kind: kind.to_owned(),
            files: files.iter().map(|&file| file.to_owned()).collect(),
        };
        let devices = vec![change("leaf-01", "changed", &["frr.conf", "links.json"]), change("fw-1", "new", &[])];
        let planned = Planned { devices, ..Planned::default() };
        assert_eq!(changes(&planned), "DEVICE   CHANGE   FILES\nleaf-01  changed  frr.conf links.json\nfw-1     new\n");
        let reach = ReachChange {
            change: "opens".into(),
            from: "prod".into(),
            to: "internet".into(),
            firewall: "fw".into(),
            what: "tcp 443 from 10.0.0.0-10.0.0.255 to any V4".into(),
            packet: "tcp 10.0.0.1:40000 > 192.0.2.1:443".into(),
            tenants: vec!["acme".into()],
        };
        assert_eq!(
            in_words(&reach),
            "opens tcp 443 from 10.0.0.0-10.0.0.255 to any V4 from `prod` to `internet` by the rules of firewall `fw`, such as tcp 10.0.0.1:40000 > 192.0.2.1:443 \
             (tenants: acme)\n"
        );
        let object = ObjectChange { kind: "Allocation".into(), name: "web-1".into(), change: "new".into() };
        let planned = Planned { objects: vec![object], ..planned };
        assert_eq!(changes(&planned), "KIND        NAME   CHANGE\nAllocation  web-1  new\n");
    }
}
