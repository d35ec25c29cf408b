//! How devices come to their certificates, and who gets none.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may fail

use std::error::Error as _;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use leafwall_agent::daemon::enrol::{EnrolError, Enrolment, enrol};
use leafwall_agent::daemon::identity::{Identity, Validity};
use leafwall_api::CONTROLLER_NAME;
use leafwall_api::token::Token;
use leafwall_api::v1::agents_client::AgentsClient;
use leafwall_api::v1::enrolment_client::EnrolmentClient;
use leafwall_api::v1::identities_client::IdentitiesClient;
use leafwall_api::v1::{self, from_agent::Message};
use leafwall_controller::certificates::{PeerRole, peer};
use leafwall_tests::controller::{World, intents};
use leafwall_tests::root;
use rcgen::{CertificateParams, DnType, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, date_time_ymd};
use tonic::transport::{Certificate, ClientTlsConfig};
use tonic::{Code, Status};

fn operator(world: &World) -> IdentitiesClient<tonic::transport::Channel> {
    IdentitiesClient::new(world.channel(&world.url(), Identity::read(&world.identity("ops", PeerRole::Operator)).unwrap().tls()))
}

fn token(world: &World, device: &str, valid_for: u64) -> v1::IssuedToken {
    let mut client = operator(world);
    world.wait(async move { client.issue_token(v1::TokenRequest { device: device.to_owned(), valid_for }).await.unwrap().into_inner() })
}

fn tokens(world: &World) -> Vec<v1::Token> {
    let mut client = operator(world);
    world.wait(async move {
        let mut stream = client.tokens(v1::TokensRequest {}).await.unwrap().into_inner();
        let mut all = Vec::new();
        while let Some(token) = stream.message().await.unwrap() {
            all.push(token);
        }
        all
    })
}

/// TLS of one who knows the authority and has no certificate.
fn stranger(world: &World) -> ClientTlsConfig {
    let authority = fs::read_to_string(world.state().join("ca.pem")).unwrap();
    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority)).domain_name(CONTROLLER_NAME)
}

fn ask(world: &World, device: &str, secret: &[u8], request: &[u8]) -> Result<v1::Issued, Status> {
    let mut client = EnrolmentClient::new(world.channel(&world.enrolment_url(), stranger(world)));
    let request = v1::EnrolRequest { device: device.to_owned(), secret: secret.to_vec(), request: request.to_vec() };
    world.wait(async move { client.enrol(request).await.map(tonic::Response::into_inner) })
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

fn request(key: &KeyPair) -> Vec<u8> {
    CertificateParams::new([]).unwrap().serialize_request(key).unwrap().der().to_vec()
}

fn secret(issued: &v1::IssuedToken) -> [u8; 32] {
    issued.token.parse::<Token>().unwrap().secret
}

fn enrolment(world: &World, device: &str, issued: &v1::IssuedToken, identity: &Path) -> Enrolment {
    let token = issued.token.parse().unwrap();
    Enrolment { device: device.parse().unwrap(), controllers: vec![world.enrolment_url()], token, identity: identity.to_owned() }
}

fn der(pem: &[u8]) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(pem).unwrap().1.contents
}

/// A directory in that of the world, so that it goes with it.
fn directory(world: &World, name: &str) -> PathBuf {
    world.state().parent().unwrap().join("identities").join(name)
}

fn log(world: &World) -> Vec<String> {
    world.audit().into_iter().map(|entry| entry.text).collect()
}

/// What a controller says to the agent with this identity that asks for an artefact.
fn fetch(world: &World, identity: &Path) -> Code {
    let mut client = AgentsClient::new(world.channel(&world.url(), Identity::read(identity).unwrap().tls()));
    let digest = vec![7; 32];
    world.wait(async move { client.fetch(v1::FetchRequest { digest }).await.unwrap_err().code() })
}

#[test]
fn a_device_enrols_with_a_key_of_its_own() {
    let mut world = World::new("enrol");
    let issued = token(&world, "leaf-01", 0);
    let identity = directory(&world, "leaf-01");
    let enrolment = enrolment(&world, "leaf-01", &issued, &identity);
    world.wait(enrol(&enrolment)).unwrap();

    let own = fs::read(identity.join("own.pem")).unwrap();
    let who = peer(&der(&own)).unwrap();
    assert_eq!((who.name.as_str(), who.role, who.tenant), ("leaf-01", PeerRole::Agent, None));
    assert_eq!(fs::metadata(identity.join("own.key")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&identity).unwrap().permissions().mode() & 0o777, 0o700);
    for same in ["ca.pem", "controller.pub"] {
        assert_eq!(fs::read(identity.join(same)).unwrap(), fs::read(world.state().join(same)).unwrap());
    }
    // the controller knows it as an agent, which asks for something that is not there
    assert_eq!(fetch(&world, &identity), Code::NotFound);
    let listed = tokens(&world);
    assert_eq!(listed.len(), 1);
    assert!(listed[0].used_at.is_some() && listed[0].device == "leaf-01" && listed[0].issued_by == "ops", "{listed:?}");
    let entries = log(&world);
    assert!(entries.iter().any(|entry| entry.contains(&format!("issue token {} for `leaf-01`", issued.id))), "{entries:#?}");
    assert!(entries.iter().any(|entry| entry.contains("enrol `leaf-01` with token") && entry.contains("127.0.0.1")), "{entries:#?}");

    // another start asks nobody
    world.stop_controller();
    world.wait(enrol(&enrolment)).unwrap();
    assert_eq!(fs::read(identity.join("own.pem")).unwrap(), own);

    // what the controller keeps is of no use to who wants to enrol
    let store = fs::read(world.state().join("store")).unwrap();
    let secret = secret(&issued);
    let in_hexadecimal = issued.token.split('.').nth(1).unwrap().as_bytes();
    let digest = Token::digest(&secret).to_string();
    let holds = |part: &[u8]| store.windows(part.len()).any(|window| window == part);
    assert!(holds(digest.as_bytes()) && !holds(in_hexadecimal) && !holds(&secret));
}

#[test]
fn a_lost_answer_is_given_again_to_the_same_key_alone() {
    let mut world = World::new("enrol-again");
    let issued = token(&world, "leaf-01", 0);
    let (one, two) = (key(), key());
    let first = ask(&world, "leaf-01", &secret(&issued), &request(&one)).unwrap();
    let again = ask(&world, "leaf-01", &secret(&issued), &request(&one)).unwrap();
    assert_eq!(first.certificate, again.certificate);
    world.stop_controller();
    world.start_controller();
    let again = ask(&world, "leaf-01", &secret(&issued), &request(&one)).unwrap();
    assert_eq!(first.certificate, again.certificate);
    let refused = ask(&world, "leaf-01", &secret(&issued), &request(&two)).unwrap_err();
    assert!(refused.code() == Code::PermissionDenied && refused.message().contains("used already"), "{refused}");
    assert!(log(&world).iter().any(|entry| entry.contains("\"refused\"") && entry.contains("used already")));

    // a device that died between its key and its certificate goes on with that key
    let identity = directory(&world, "leaf-01");
    fs::create_dir_all(&identity).unwrap();
    fs::write(identity.join("own.key"), one.serialize_pem()).unwrap();
    let enrolment = enrolment(&world, "leaf-01", &issued, &identity);
    assert!(matches!(world.wait(enrol(&enrolment)), Err(EnrolError::Identity(_))), "others can read the key");
    fs::set_permissions(identity.join("own.key"), fs::Permissions::from_mode(0o600)).unwrap();
    world.wait(enrol(&enrolment)).unwrap();
    assert_eq!(fs::read_to_string(identity.join("own.pem")).unwrap(), first.certificate);
    assert_eq!(fs::read_to_string(identity.join("own.key")).unwrap(), one.serialize_pem());
}

#[test]
fn two_that_use_a_token_at_once_are_one() {
    let world = World::new("enrol-race");
    let issued = token(&world, "leaf-01", 0);
    let mut calls = Vec::new();
    for _ in 0..4 {
        let mut client = EnrolmentClient::new(world.channel(&world.enrolment_url(), stranger(&world)));
        let request = v1::EnrolRequest { device: "leaf-01".into(), secret: secret(&issued).to_vec(), request: request(&key()) };
        calls.push(async move { client.enrol(request).await });
    }
    let ended = world.wait(async move {
        let tasks: Vec<_> = calls.into_iter().map(tokio::spawn).collect();
        let mut ended = Vec::new();
        for task in tasks {
            ended.push(task.await.unwrap().is_ok());
        }
        ended
    });
    assert_eq!(ended.iter().filter(|got| **got).count(), 1, "{ended:?}");
}

#[test]
fn tokens_that_are_no_good_are_refused_slowly_and_written_down() {
    let world = World::new("enrol-refused");
    let (open, expired, revoked) = (token(&world, "leaf-01", 0), token(&world, "leaf-02", 1), token(&world, "leaf-03", 0));
    let mut client = operator(&world);
    let id = revoked.id.clone();
    world.wait(async move { client.revoke_token(v1::RevokeTokenRequest { id }).await.unwrap() });
    std::thread::sleep(Duration::from_millis(1100));
    let good = request(&key());
    let cases = [
        ("leaf-01", [7; 32], "there is no such token"),
        ("leaf-02", secret(&open), "not for `leaf-02`"),
        ("leaf-02", secret(&expired), "has expired"),
        ("leaf-03", secret(&revoked), "revoked"),
    ];
    for (device, secret, why) in cases {
        let start = Instant::now();
        let refused = ask(&world, device, &secret, &good).unwrap_err();
        assert!(refused.code() == Code::PermissionDenied && refused.message().contains(why), "{refused}");
        assert!(start.elapsed() >= Duration::from_secs(1), "{why}: a guess costs time");
        let entries = log(&world);
        let written = entries.iter().any(|entry| entry.contains("\"nobody\"") && entry.contains("127.0.0.1") && entry.contains(why));
        assert!(written, "{why}: {entries:#?}");
    }
    // nobody without a good token has the request looked at: what is garbage there is not told either
    let refused = ask(&world, "leaf-01", &[7; 32], b"garbage").unwrap_err();
    assert!(refused.message().contains("there is no such token"), "{refused}");
    // the address has no chance left, not even with a good token, and nothing more is written
    let entries = log(&world).len();
    let start = Instant::now();
    let refused = ask(&world, "leaf-01", &secret(&open), &good).unwrap_err();
    assert!(refused.code() == Code::ResourceExhausted && start.elapsed() < Duration::from_secs(1), "{refused}");
    assert_eq!(log(&world).len(), entries);
    assert!(tokens(&world).iter().all(|token| token.used_at.is_none()));
}

#[test]
fn requests_that_are_none_are_refused() {
    let world = World::new("enrol-requests");
    let issued = token(&world, "leaf-01", 0);
    let mut forged = request(&key());
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let other = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let cases = [
        ("garbage", b"garbage".to_vec()),
        ("a signature of another key", forged),
        ("another kind of key", request(&other)),
        ("nothing", Vec::new()),
    ];
    for (what, request) in cases {
        let refused = ask(&world, "leaf-01", &secret(&issued), &request).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{what}: {refused}");
    }
    assert!(log(&world).iter().filter(|entry| entry.contains("no certificate request")).count() == 4);
    // longer than any request; no answer of the service, so it costs no chance
    let refused = ask(&world, "leaf-01", &secret(&issued), &vec![0; 1 << 20]).unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    // what a request says of its holder does not count
    let mut params = CertificateParams::new(["controller.leafwall".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "ada");
    params.distinguished_name.push(DnType::OrganizationalUnitName, "operator");
    let request = params.serialize_request(&key()).unwrap().der().to_vec();
    let issued = ask(&world, "leaf-01", &secret(&issued), &request).unwrap();
    let der = der(issued.certificate.as_bytes());
    let who = peer(&der).unwrap();
    assert_eq!((who.name.as_str(), who.role), ("leaf-01", PeerRole::Agent));
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
    assert!(certificate.subject_alternative_name().unwrap().is_none() && !certificate.is_ca());
}

#[test]
fn a_device_tells_its_token_to_no_other_controller() {
    let (world, other) = (World::new("enrol-mine"), World::new("enrol-other"));
    let issued = token(&world, "leaf-01", 0);
    let identity = directory(&world, "leaf-01");
    let mut enrolment = enrolment(&world, "leaf-01", &issued, &identity);
    enrolment.controllers = vec![other.enrolment_url()];
    assert!(matches!(other.wait(enrol(&enrolment)), Err(EnrolError::OtherAuthority(_))));
    assert!(!log(&other).iter().any(|entry| entry.contains("leaf-01")), "nothing was sent there");
    // nor does it mix two fabrics
    enrolment.controllers = vec![world.enrolment_url()];
    fs::copy(other.state().join("ca.pem"), identity.join("ca.pem")).unwrap();
    assert!(matches!(world.wait(enrol(&enrolment)), Err(EnrolError::ForeignDirectory(_))));
    fs::remove_file(identity.join("ca.pem")).unwrap();
    world.wait(enrol(&enrolment)).unwrap();
}

#[test]
fn many_who_say_nothing_keep_nobody_out_for_long() {
    let world = World::new("enrol-idle");
    let issued = token(&world, "leaf-01", 0);
    let address = world.enrolment_url().replace("https://", "");
    let idle: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(&address).unwrap()).collect();
    // all places are taken; they come free when the handshakes' time is over
    world.wait(enrol(&enrolment(&world, "leaf-01", &issued, &directory(&world, "leaf-01")))).unwrap();
    drop(idle);
}

/// Every call of the API, from the files that say what there is.
fn calls() -> Vec<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(root().join("fabric/api/proto/leafwall/v1")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let mut service = String::new();
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("service ") {
                name.trim_end_matches([' ', '{']).clone_into(&mut service);
            } else if let Some(call) = line.strip_prefix("rpc ") {
                all.push(format!("/leafwall.v1.{service}/{}", call.split('(').next().unwrap()));
            }
        }
    }
    assert!(all.len() > 10 && all.contains(&"/leafwall.v1.Fabric/Apply".to_owned()), "{all:?}");
    all
}

/// Calls with an empty message, which every call takes for one of its own.
fn call(world: &World, url: &str, tls: ClientTlsConfig, path: &str) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(world.channel(url, tls));
    let path = path.parse().unwrap();
    world.wait(async move {
        client.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let codec = tonic_prost::ProstCodec::<(), ()>::default();
        let mut answers = client.streaming(tonic::Request::new(tokio_stream::iter([()])), path, codec).await?.into_inner();
        // some go on for ever
        answers.message().await?;
        Ok(())
    })
}

/// Whether no service has answered: the connection did not come to be.
fn is_shut_out(answer: &Result<(), Status>) -> bool {
    answer.as_ref().is_err_and(|status| status.source().is_some())
}

#[test]
fn nobody_without_a_certificate_gets_to_any_service() {
    let (world, other) = (World::new("enrol-nobody"), World::new("enrol-foreign"));
    let operator = Identity::read(&world.identity("ops", PeerRole::Operator)).unwrap();
    // one whose certificate is from another authority, and who knows ours
    let foreign = other.identity("ops", PeerRole::Operator);
    fs::copy(world.state().join("ca.pem"), foreign.join("ca.pem")).unwrap();
    let foreign = Identity::read(&foreign).unwrap();
    for path in calls() {
        let answer = call(&world, &world.url(), stranger(&world), &path);
        assert!(is_shut_out(&answer), "{path} without a certificate: {answer:?}");
        let answer = call(&world, &world.url(), foreign.tls(), &path);
        assert!(is_shut_out(&answer), "{path} with another authority's: {answer:?}");
        let answer = call(&world, &world.url(), operator.tls(), &path);
        assert!(!is_shut_out(&answer), "{path} with a certificate: {answer:?}");
        // where strangers come in, there is nothing else, whatever certificate they have
        for tls in [stranger(&world), operator.tls()] {
            let answer = call(&world, &world.enrolment_url(), tls, &path);
            let code = answer.as_ref().err().map(Status::code);
            let expected = if path == "/leafwall.v1.Enrolment/Enrol" { Code::InvalidArgument } else { Code::Unimplemented };
            assert_eq!(code, Some(expected), "{path} where devices enrol: {answer:?}");
        }
    }
}

#[test]
fn a_tenant_may_call_nothing_but_what_has_a_part_of_its_own() {
    let world = World::new("enrol-tenant");
    let tenant = Identity::read(&world.identity("acme", PeerRole::Tenant)).unwrap();
    // `tenants.rs` says what it gets there
    let own = [
        ("Plan", Some(Code::InvalidArgument)),
        ("Apply", Some(Code::InvalidArgument)),
        ("Status", None),
        ("History", None),
        ("Show", Some(Code::NotFound)),
    ];
    // who leads is said to whoever has a certificate: all clients look for it, and it tells of nobody's objects
    let leads = "/leafwall.v1.Leadership/Leads";
    assert!(call(&world, &world.url(), tenant.tls(), leads).is_ok());
    for path in calls().into_iter().filter(|path| path != "/leafwall.v1.Enrolment/Enrol" && path != leads) {
        let before = log(&world).len();
        let answer = call(&world, &world.url(), tenant.tls(), &path);
        let code = answer.as_ref().err().map(Status::code);
        if let Some((_, expected)) = own.iter().find(|(name, _)| path == format!("/leafwall.v1.Fabric/{name}")) {
            assert_eq!(code, *expected, "{path}: {answer:?}");
            continue;
        }
        assert_eq!(code, Some(Code::PermissionDenied), "{path}: {answer:?}");
        // by the core, which may wait for the disk while the refusal is on its way
        world.until("it is written down", |world| log(world).len() > before);
        let entries = log(&world);
        assert!(
            entries.len() == before + 1 && entries[before].contains("\"tenant\":\"acme\"") && entries[before].contains("\"refused\""),
            "{path}"
        );
    }
}

#[test]
fn tokens_are_for_operators() {
    let world = World::new("enrol-roles");
    for (name, role, may_list) in [("auditor", PeerRole::Viewer, true), ("leaf-01", PeerRole::Agent, false)] {
        let tls = Identity::read(&world.identity(name, role)).unwrap().tls();
        let code = |path: &str| call(&world, &world.url(), tls.clone(), path).err().map(|status| status.code());
        assert_eq!(code("/leafwall.v1.Identities/IssueToken"), Some(Code::PermissionDenied), "{name}");
        assert_eq!(code("/leafwall.v1.Identities/RevokeToken"), Some(Code::PermissionDenied), "{name}");
        assert_eq!(code("/leafwall.v1.Identities/Tokens"), (!may_list).then_some(Code::PermissionDenied), "{name}");
        // only agents' certificates are renewed
        assert_eq!(code("/leafwall.v1.Identities/Renew"), (role != PeerRole::Agent).then_some(Code::PermissionDenied), "{name}");
    }
    let mut client = operator(&world);
    world.wait(async move {
        let long = client.issue_token(v1::TokenRequest { device: "leaf-01".into(), valid_for: 8 * 24 * 3600 }).await.unwrap_err();
        assert_eq!(long.code(), Code::InvalidArgument);
        let none = client.issue_token(v1::TokenRequest { device: "../leaf".into(), valid_for: 0 }).await.unwrap_err();
        assert_eq!(none.code(), Code::InvalidArgument);
        let none = client.revoke_token(v1::RevokeTokenRequest { id: String::new() }).await.unwrap_err();
        assert_eq!(none.code(), Code::NotFound);
    });
}

#[test]
fn a_controller_without_its_authoritys_key_gives_out_nothing_and_says_so() {
    let mut world = World::new("enrol-keyless");
    let identity = world.identity("ops", PeerRole::Operator);
    world.stop_controller();
    fs::rename(world.state().join("ca.key"), identity.join("ca.key")).unwrap();
    world.start_controller();
    let mut client = operator(&world);
    let refused =
        world.wait(async move { client.issue_token(v1::TokenRequest { device: "leaf-01".into(), valid_for: 0 }).await.unwrap_err() });
    assert!(refused.code() == Code::FailedPrecondition && refused.message().contains("ca.key"), "{refused}");
}

#[test]
fn an_agent_greets_as_the_device_of_its_certificate_or_not_at_all() {
    let world = World::new("enrol-greeting");
    let mut client =
        AgentsClient::new(world.channel(&world.url(), Identity::read(&world.identity("leaf-01", PeerRole::Agent)).unwrap().tls()));
    let hello = v1::Hello { device: "leaf-02".to_owned(), ..v1::Hello::default() };
    let refused = world.wait(async move {
        let greeting = tokio_stream::iter([v1::FromAgent { message: Some(Message::Hello(hello)) }]);
        client.attend(greeting).await.unwrap().into_inner().message().await.unwrap_err()
    });
    assert_eq!(refused.code(), Code::PermissionDenied);
    let entries = log(&world);
    let written = |entry: &String| entry.contains("`leaf-01` says that it is `leaf-02`") && entry.contains("\"refused\"");
    assert!(entries.iter().any(written), "{entries:#?}");
}

/// A certificate for a key that is there, which began long ago and ends soon.
fn ending(world: &World, directory: &Path, device: &str, left: Duration) {
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    let ca_key = KeyPair::from_pem(&read(world.state().join("ca.key"))).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read(world.state().join("ca.pem")), ca_key).unwrap();
    let key = KeyPair::from_pem(&read(directory.join("own.key"))).unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, device);
    params.distinguished_name.push(DnType::OrganizationalUnitName, "agent");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(1970, 1, 1) + std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap() + left;
    fs::write(directory.join("own.pem"), params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
}

#[test]
fn a_certificate_is_renewed_before_it_ends() {
    let mut world = World::new("enrol-renew");
    let name = "leaf-01".parse().unwrap();
    let identity = world.identity("leaf-01", PeerRole::Agent);
    let key = fs::read(identity.join("own.key")).unwrap();
    let left = Duration::from_secs(8);
    let ends = Instant::now() + left;
    ending(&world, &identity, "leaf-01", left);
    let before = fs::read(identity.join("own.pem")).unwrap();
    world.start_agent(&name);
    world.until("the certificate is another one", |_| fs::read(identity.join("own.pem")).unwrap() != before);
    let validity = Validity::read(&identity).unwrap();
    let now = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap();
    assert!(!validity.is_due(now) && validity.until > now + 300 * 24 * 3600, "{validity:?}");
    assert_eq!(fs::read(identity.join("own.key")).unwrap(), key, "the key stays");
    assert_eq!(peer(&der(&fs::read(identity.join("own.pem")).unwrap())).unwrap().name, "leaf-01");
    assert!(log(&world).iter().any(|entry| entry.contains("renew the certificate of `leaf-01`")));

    // the agent that runs uses it: with the old one, nobody would let it in again
    let told = world.apply(&intents(&root().join("containerlab/fra1")), &[]);
    assert_eq!(told.last().unwrap().outcome(), v1::Outcome::Committed, "{told:#?}");
    std::thread::sleep(ends.saturating_duration_since(Instant::now()) + Duration::from_secs(1));
    world.stop_controller();
    world.start_controller();
    world.until("it is back", |world| world.status().devices.iter().any(|device| device.device == "leaf-01" && device.connected));
}
