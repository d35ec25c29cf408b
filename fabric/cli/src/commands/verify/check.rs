//! `leafwall verify --check CERTIFICATE DIR`

use std::path::Path;
use std::sync::Arc;

use leafwall_intent::{ALLOCATION_FILE, SourceFile, Sources};
use leafwall_plan::Planner;
use leafwall_proof::certificate::Texts;
use leafwall_proof::{Certificate, Failures, Input, Proof};
use leafwall_render::{Artefacts, CONFIG_DB_JSON, Devices, FRR_CONF, LEAFWALL_NFT, LINKS_JSON, build};

use super::proved;
use crate::fabric::Rendered;
use crate::input::Fabric;
use crate::{Outcome, chain, fabric, output};

/// A certificate of thousands of tenants has a tenth of this, in bytes.
const CERTIFICATE_MAX: u64 = 1 << 30;

/// Holds artefacts against a certificate, and proves again what it says of them.
pub fn run(certificate: &Path, directory: &Path, show: impl FnOnce(&Input<'_>, &Proof, &Certificate) -> Outcome) -> Outcome {
    checked(certificate, directory, show).unwrap_or_else(|outcome| outcome)
}

fn checked(path: &Path, directory: &Path, show: impl FnOnce(&Input<'_>, &Proof, &Certificate) -> Outcome) -> Result<Outcome, Outcome> {
    let certificate = read(path)?;
    let files = output::read_artefacts(directory).map_err(Outcome::CouldNot)?;
    let strangers = certificate.strangers(&files);
    if !strangers.is_empty() {
        eprintln!("{}", strangers.join("\n"));
        eprintln!("refused: `{}` is not of these artefacts", path.display());
        return Err(Outcome::Problems);
    }
    let Some(texts) = certificate.given.texts.clone() else {
        let told = "the artefacts are those of the certificate, but it names its intents by digests alone: check one that `leafwall verify --certificate` wrote";
        return Err(Outcome::CouldNot(told.to_owned()));
    };
    let (planner, rendered) = again(&texts, files)?;
    let failures = if certificate.failures.is_empty() { Failures::None } else { Failures::Single };
    let (proof, now) = proved(&planner, &rendered, certificate.given.clone(), failures)?;
    let untruths = certificate.untruths(&now);
    if !untruths.is_empty() {
        eprintln!("{}", untruths.join("\n"));
        eprintln!("refused: `{}` is not what these artefacts do", path.display());
        return Err(Outcome::Problems);
    }
    let shown = show(&rendered.input(&planner), &proof, &now);
    eprintln!("checked: `{}` is of these {} devices, and says what they do", path.display(), certificate.artefacts.len());
    Ok(shown)
}

fn read(path: &Path) -> Result<Certificate, Outcome> {
    let told = |error: std::io::Error| Outcome::CouldNot(format!("cannot read `{}`: {error}", path.display()));
    if std::fs::metadata(path).map_err(told)?.len() > CERTIFICATE_MAX {
        return Err(Outcome::CouldNot(format!("`{}` is larger than {CERTIFICATE_MAX} bytes: no certificate is", path.display())));
    }
    let text = std::fs::read_to_string(path).map_err(told)?;
    Certificate::parse(&text).map_err(|error| {
        eprintln!("refused: `{}`: {}", path.display(), chain(&error));
        Outcome::Problems
    })
}

/// What the artefacts are held against, made of the intents anew; the artefacts themselves are those that were found.
fn again(texts: &Texts, files: leafwall_proof::certificate::Files) -> Result<(Planner, Rendered), Outcome> {
    let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.into() };
    let sources = Sources::new(texts.intents.iter().map(|(path, text)| file(path, text)).collect());
    let allocation = Some(file(ALLOCATION_FILE, &texts.allocation));
    let planner = fabric::planned(&Fabric { sources, allocation })?;
    let inventory = build::inventory(planner.model(), planner.table(), planner.plan());
    let mut devices = Devices::new();
    for (device, files) in files {
        let name = device.parse().map_err(|_| Outcome::CouldNot(format!("`{device}` is no device's name")))?;
        let known = [CONFIG_DB_JSON, FRR_CONF, LINKS_JSON, LEAFWALL_NFT];
        // a file of another name is a stranger, and was refused
        let files = files.into_iter().filter_map(|(file, text)| Some((*known.iter().find(|known| **known == file)?, text)));
        devices.insert(name, Arc::new(Artefacts { files: files.collect() }));
    }
    Ok((planner, Rendered { devices, inventory, timings: Vec::new() }))
}
