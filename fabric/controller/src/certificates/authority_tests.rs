use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use rcgen::DnValue;
use x509_parser::prelude::{GeneralName, ParsedExtension};

use super::super::peer;
use super::*;

/// A directory of this process, empty.
fn directory(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("leafwall-certificates-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    directory
}

fn der(path: &Path) -> Vec<u8> {
    let text = fs::read(path).unwrap();
    x509_parser::pem::parse_x509_pem(&text).unwrap().1.contents
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn what_is_issued_is_read_back_and_signed_by_the_authority() {
    let state = directory("round");
    Authority::create(&state).unwrap();
    let authority = Authority::load(&state).unwrap();
    for key in [AUTHORITY_KEY, OWN_KEY, SIGNING_KEY] {
        assert_eq!(mode(&state.join(key)), 0o600, "{key}");
    }
    let issued = [
        ("leaf-01", PeerRole::Agent, None),
        ("Ada Lovelace", PeerRole::Operator, None),
        ("ci@acme", PeerRole::Tenant, Some("acme".parse().unwrap())),
        ("wall", PeerRole::Viewer, None),
    ];
    for (name, role, tenant) in issued {
        let into = state.join(role.word());
        authority.issue(name, role, tenant.clone(), &into).unwrap();
        let der = der(&into.join(OWN_CERTIFICATE));
        assert_eq!(peer(&der).unwrap(), Peer { name: name.to_owned(), role, tenant });
        assert_eq!(mode(&into.join(OWN_KEY)), 0o600);
        for same in [AUTHORITY_CERTIFICATE, CONTROLLER_KEYS] {
            assert_eq!(fs::read(into.join(same)).unwrap(), fs::read(state.join(same)).unwrap());
        }
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth, "a client can't be a controller");
        assert!(!certificate.is_ca());
        // nothing is overwritten
        let before = fs::read(into.join(OWN_KEY)).unwrap();
        assert!(matches!(authority.issue(name, PeerRole::Viewer, None, &into), Err(CertificateError::Present(_))));
        assert_eq!(fs::read(into.join(OWN_KEY)).unwrap(), before);
    }
    fs::remove_dir_all(state).unwrap();
}

#[test]
fn the_controllers_own_certificate_has_its_name_and_opens_no_door() {
    let state = directory("own");
    Authority::create(&state).unwrap();
    let der = der(&state.join(OWN_CERTIFICATE));
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && usage.server_auth);
    let names = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(names.general_names.clone()),
        _ => None,
    });
    assert_eq!(names.unwrap(), [GeneralName::DNSName(CONTROLLER_NAME)]);
    assert!(matches!(peer(&der), Err(CertificateError::Role(role)) if role == CONTROLLER_ROLE));
    let line = fs::read_to_string(state.join(CONTROLLER_KEYS)).unwrap();
    let key = keys::load(&state.join(SIGNING_KEY)).unwrap();
    assert_eq!(line.strip_suffix('\n').unwrap().parse::<Digest>().unwrap().bytes(), key.verifying_key().as_bytes());
    fs::remove_dir_all(state).unwrap();
}

#[test]
fn an_authority_is_made_once_and_its_files_belong_together() {
    let (state, other) = (directory("once"), directory("other"));
    Authority::create(&state).unwrap();
    Authority::create(&other).unwrap();
    let before = fs::read(state.join(AUTHORITY_KEY)).unwrap();
    assert!(matches!(Authority::create(&state), Err(CertificateError::Present(_))));
    assert_eq!(fs::read(state.join(AUTHORITY_KEY)).unwrap(), before);

    fs::set_permissions(state.join(AUTHORITY_KEY), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(Authority::load(&state), Err(CertificateError::Exposed { mode: 0o640, .. })));
    fs::copy(other.join(AUTHORITY_KEY), state.join(AUTHORITY_KEY)).unwrap();
    fs::set_permissions(state.join(AUTHORITY_KEY), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(Authority::load(&state), Err(CertificateError::OtherKey(_))));
    fs::remove_file(state.join(AUTHORITY_CERTIFICATE)).unwrap();
    assert!(matches!(Authority::load(&state), Err(CertificateError::File { .. })));
    // an authority of which a part is lost is not made anew over the rest of it
    assert!(matches!(Authority::create(&state), Err(CertificateError::Present(_))));
    for directory in [state, other] {
        fs::remove_dir_all(directory).unwrap();
    }
}

#[test]
fn nobody_is_called_what_can_not_be_told_from_others() {
    let state = directory("names");
    let authority = Authority::create(&state).unwrap();
    let into = state.join("into");
    let long = "x".repeat(65);
    for name in ["", " ada", "ada\n", "a\u{202e}da", long.as_str()] {
        let refused = authority.issue(name, PeerRole::Operator, None, &into);
        assert!(matches!(refused, Err(CertificateError::Name(_))), "{name:?}: {refused:?}");
    }
    assert!(matches!(authority.issue("Leaf 01", PeerRole::Agent, None, &into), Err(CertificateError::Name(_))));
    assert!(matches!(authority.issue("ci", PeerRole::Tenant, None, &into), Err(CertificateError::TenantAndRole)));
    let acme = Some("acme".parse().unwrap());
    assert!(matches!(authority.issue("ci", PeerRole::Operator, acme, &into), Err(CertificateError::TenantAndRole)));
    assert!(!into.exists(), "nothing is written for what is refused");
    fs::remove_dir_all(state).unwrap();
}

/// The last number of a kind's OBJECT IDENTIFIER, 2.5.4.x (RFC 5280, appendix A.1).
type Kind = u8;

/// The certificate of a subject with these parts, in this order.
fn subject_of(parts: &[(Kind, DnValue)]) -> Vec<u8> {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    // rcgen keeps one value of a kind, so each gets a placeholder that is then renamed
    let placeholders = 100_u8..;
    for (placeholder, (_, value)) in placeholders.clone().zip(parts) {
        params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, placeholder.into()]), value.clone());
    }
    let mut der = params.self_signed(&key().unwrap()).unwrap().der().to_vec();
    for (placeholder, (kind, _)) in placeholders.zip(parts) {
        // ITU-T X.690 §8.19
        let written = [6, 3, 0x55, 4, placeholder];
        for at in 0..der.len() - written.len() {
            if der[at..].starts_with(&written) {
                der[at + 4] = *kind;
            }
        }
    }
    der
}

const CN: Kind = 3;
const LOCALITY: Kind = 7;
const O: Kind = 10;
const OU: Kind = 11;

fn utf8(text: &str) -> DnValue {
    DnValue::Utf8String(text.to_owned())
}

#[test]
fn a_subject_that_says_less_or_more_is_refused() {
    let ada = || (CN, utf8("ada"));
    let operator = || (OU, utf8("operator"));
    let read = |parts: &[(Kind, DnValue)]| peer(&subject_of(parts));
    assert_eq!(read(&[operator(), ada()]).unwrap().role, PeerRole::Operator);

    assert!(matches!(read(&[operator()]), Err(CertificateError::Count { part: "CN", count: 0 })));
    assert!(matches!(read(&[ada(), operator(), (CN, utf8("eve"))]), Err(CertificateError::Count { part: "CN", count: 2 })));
    assert!(matches!(read(&[ada()]), Err(CertificateError::Count { part: "OU", count: 0 })));
    assert!(matches!(read(&[ada(), (OU, utf8("viewer")), operator()]), Err(CertificateError::Count { part: "OU", count: 2 })));
    for role in ["", "Operator", "operator ", "root", "controller"] {
        assert!(matches!(read(&[ada(), (OU, utf8(role))]), Err(CertificateError::Role(_))), "{role:?}");
    }
    assert!(matches!(read(&[ada(), operator(), (O, utf8("acme"))]), Err(CertificateError::TenantAndRole)));
    let tenant = || (OU, utf8("tenant"));
    assert_eq!(read(&[ada(), tenant(), (O, utf8("acme"))]).unwrap().tenant, Some("acme".parse().unwrap()));
    assert!(matches!(read(&[ada(), tenant()]), Err(CertificateError::TenantAndRole)));
    assert!(matches!(read(&[ada(), tenant(), (O, utf8("../acme"))]), Err(CertificateError::Tenant(_))));
    let two = [ada(), tenant(), (O, utf8("acme")), (O, utf8("globex"))];
    assert!(matches!(read(&two), Err(CertificateError::Count { part: "O", count: 2 })));
    assert!(matches!(read(&[ada(), operator(), (LOCALITY, utf8("fra1"))]), Err(CertificateError::Foreign)));
    assert!(matches!(read(&[(CN, utf8("ada\u{7}")), operator()]), Err(CertificateError::Name(_))));
    assert!(matches!(read(&[(CN, utf8("Leaf 01")), (OU, utf8("agent"))]), Err(CertificateError::Name(_))));
    let bmp = rcgen::string::BmpString::try_from("ada").unwrap();
    assert!(matches!(read(&[(CN, DnValue::BmpString(bmp)), operator()]), Err(CertificateError::NoText { part: "CN" })));
}

#[test]
fn what_is_no_certificate_is_refused() {
    let good = subject_of(&[(CN, utf8("ada")), (OU, utf8("operator"))]);
    assert!(peer(&good).is_ok());
    assert!(matches!(peer(&[]), Err(CertificateError::NoCertificate)));
    assert!(matches!(peer(b"-----BEGIN CERTIFICATE-----"), Err(CertificateError::NoCertificate)));
    for end in 0..good.len() {
        assert!(matches!(peer(&good[..end]), Err(CertificateError::NoCertificate)), "cut at {end}");
    }
    let mut longer = good;
    longer.push(0);
    assert!(matches!(peer(&longer), Err(CertificateError::NoCertificate)));
}
