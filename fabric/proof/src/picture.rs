//! The matrix as a page for people who look rather than read: networks by networks, what is open marked, everything else closed. Plain HTML without scripts or
//! anything from elsewhere, readable in black and white, so that it can be kept with a certificate and printed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use leafwall_topology::Name;
use leafwall_topology::export::svg::escape;

use crate::certificate::{Certificate, by_network};
use crate::{Input, Proof};

/// More networks than this are no picture any more: then only those are drawn that have something open to or from another one.
const DRAWN: usize = 80;

const STYLE: &str = "body{font:14px/1.4 system-ui,sans-serif;margin:2rem;color:#111}table{border-collapse:collapse}\
th,td{border:1px solid #bbb;padding:2px 6px;font-weight:normal;text-align:left;vertical-align:top}\
thead th{writing-mode:vertical-rl;transform:rotate(180deg);height:9rem;text-align:right}\
.m td{text-align:center;width:1.6rem}.any{background:#9fd3b6}.some{background:#f9dfb1}.self{background:#e3e3e3}.tenant{background:#d9d4ee}\
.bad{background:#f3b8b0}code{font-size:12px}h1{font-size:20px}h2{font-size:16px;margin-top:2rem}";

/// The page.
pub fn page(input: &Input<'_>, proof: &Proof, certificate: &Certificate) -> String {
    let open = by_network(proof);
    let mut rows: Vec<&str> = proof.matrix.rows().map(|(_, row)| row.party.network.as_str()).collect();
    rows.sort_unstable();
    rows.dedup();
    let all = rows.len();
    if all > DRAWN {
        rows.retain(|name| open.iter().any(|open| open.from != open.to && (open.from == *name || open.to == *name)));
    }
    let cells: BTreeMap<(&str, &str), usize> =
        open.iter().enumerate().map(|(place, open)| ((open.from.as_str(), open.to.as_str()), place)).collect();
    let mut out = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    let title = format!("Who reaches whom in {}", input.model.fabric.name);
    let verdict = if proof.holds() {
        format!("Proved: {} ordered pairs of endpoints; everything that is not marked is closed.", proof.pairs)
    } else {
        format!("Not proved: {} findings, listed below.", proof.findings.len() + proof.hazards.len())
    };
    let _ = write!(
        out,
        "{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n<p{}>{}</p>\n<p>{}</p>\n",
        if proof.holds() { "" } else { " class=\"bad\"" },
        escape(&verdict),
        escape(&certificate.statement),
        title = escape(&title)
    );
    let _ = writeln!(
        out,
        "<p>From the networks on the left to those above: <span class=\"any\">&nbsp;all&nbsp;</span> everything, \
         <span class=\"some\">&nbsp;1&nbsp;</span> what the line of that number says, <span class=\"self\">&nbsp;=&nbsp;</span> within the network.</p>"
    );
    if rows.len() < all {
        let _ = writeln!(out, "<p>{} of {all} networks are drawn: the others have nothing open to another one.</p>", rows.len());
    }
    matrix(&mut out, input, &rows, &cells, |place| open[place].services == "any");
    out.push_str("<h2>What is open</h2>\n<table><tr><th></th><th>from</th><th>to</th><th>open</th><th>by</th></tr>\n");
    for (place, open) in open.iter().enumerate() {
        let _ = writeln!(
            out,
            "<tr id=\"o{number}\"><td>{number}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&open.from),
            escape(&open.to),
            escape(&open.services),
            escape(&open.why.join(", ")),
            number = place + 1
        );
    }
    out.push_str("</table>\n");
    if !proof.holds() {
        out.push_str("<h2>Findings</h2>\n<ol>\n");
        for finding in proof.findings.iter().map(ToString::to_string).chain(proof.hazards.iter().map(ToString::to_string)) {
            let _ = writeln!(out, "<li class=\"bad\"><pre>{}</pre></li>", escape(&finding));
        }
        out.push_str("</ol>\n");
    }
    out.push_str("<h2>Taken for granted</h2>\n<ul>\n");
    for assumption in &certificate.assumptions {
        let _ = writeln!(out, "<li>{}</li>", escape(assumption));
    }
    out.push_str("</ul>\n<h2>Artefacts</h2>\n<table><tr><th>device</th><th>file</th><th>SHA-256</th></tr>\n");
    for (device, files) in &certificate.artefacts {
        for (file, digest) in &**files {
            let _ = writeln!(out, "<tr><td>{}</td><td>{}</td><td><code>{digest}</code></td></tr>", escape(device.as_str()), escape(file));
        }
    }
    let _ = writeln!(out, "</table>\n<p>Leafwall {}, certificate version {}</p>\n</body></html>", certificate.prover, certificate.version);
    out
}

/// Whose a row is.
fn tenant<'a>(input: &'a Input<'_>, row: &str) -> &'a str {
    let network = row.parse::<Name>().ok().and_then(|name| input.model.networks.get(&name));
    network.and_then(|network| network.tenant.as_ref()).map_or("", Name::as_str)
}

fn matrix(out: &mut String, input: &Input<'_>, rows: &[&str], cells: &BTreeMap<(&str, &str), usize>, any: impl Fn(usize) -> bool) {
    out.push_str("<table class=\"m\"><thead><tr><th></th><th></th>");
    for row in rows {
        let _ = write!(out, "<th>{}</th>", escape(row));
    }
    out.push_str("</tr></thead>\n");
    for from in rows {
        let _ = write!(out, "<tr><th>{}</th><th class=\"tenant\">{}</th>", escape(from), escape(tenant(input, from)));
        for to in rows {
            let cell = match cells.get(&(*from, *to)) {
                None => "<td></td>".to_owned(),
                Some(_) if from == to => "<td class=\"self\">=</td>".to_owned(),
                Some(place) => {
                    let (class, text) = if any(*place) { ("any", "all".to_owned()) } else { ("some", (place + 1).to_string()) };
                    let title = escape(&format!("{from} to {to}"));
                    format!("<td class=\"{class}\" title=\"{title}\"><a href=\"#o{}\">{text}</a></td>", place + 1)
                }
            };
            out.push_str(&cell);
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
}
