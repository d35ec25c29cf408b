//! CONFIG_DB and FRR as one change: in one order, and both or neither.

use std::path::PathBuf;
use std::process::Output;

use leafwall_render::config_db::ConfigDb;
use leafwall_render::frr::FrrConfig;
use leafwall_render::{CONFIG_DB_JSON, FRR_CONF};
use leafwall_tests::frr_model::Model;
use leafwall_tests::frr_stand_in::FrrStandIn;
use leafwall_tests::rendered::rendered_files;
use leafwall_tests::skip;
use leafwall_tests::sonic_fabric::{shared, tenants_at_exit};
use leafwall_tests::sonic_stand_in::Manners;

use super::agents::agent;
use super::{Switch, bare, redis};

/// An exit with its Redis and FRR.
struct Exit {
    frr: FrrStandIn,
    switch: Switch,
}

/// What an exit with so many networks outside is to be.
struct Wanted {
    database: ConfigDb,
    routing: String,
}

impl Wanted {
    fn of(tenants: usize) -> Self {
        let rendered = rendered_files(tenants_at_exit(tenants));
        let files = &rendered.devices.iter().find(|(name, _)| name.as_str() == "exit-01").unwrap().1.files;
        Self { database: ConfigDb::parse(&files[CONFIG_DB_JSON]).unwrap(), routing: files[FRR_CONF].clone() }
    }

    fn running(&self) -> Model {
        Model::of(&FrrConfig::parse(&self.routing).unwrap())
    }
}

impl Exit {
    fn start(test: &str) -> Self {
        let switch = Switch::start(test, &shared(&bare(&Wanted::of(1).database)));
        Self { frr: FrrStandIn::start(test, &switch.server), switch }
    }

    fn artefacts(&self, name: &str, wanted: &Wanted) -> PathBuf {
        let directory = self.switch.artefacts(name, &wanted.database);
        std::fs::write(directory.join(FRR_CONF), &wanted.routing).unwrap();
        directory
    }

    fn make(&self, wanted: &Wanted, seconds: &str) -> Output {
        let directory = self.artefacts("wanted", wanted);
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command =
            agent(&self.switch, &["--once", &directory.to_string_lossy(), "--frr-pathspace", self.frr.pathspace(), "--timeout", seconds]);
        command.env("PATH", format!("{}:{path}", self.frr.tools().display())).output().unwrap()
    }

    fn is(&self, wanted: &Wanted, output: &Output) {
        let said = text(output);
        assert_eq!(self.switch.server.config(), shared(&wanted.database), "{said}");
        let (running, expected) = (self.frr.running(), wanted.running());
        assert!(
            running == expected,
            "{said}\nFRR has too much: {:#?}\nand lacks: {:#?}",
            running.minus(&expected),
            expected.minus(&running)
        );
        assert_eq!(self.frr.faults(), [""; 0], "{said}");
        self.switch.is_whole();
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn ready(test: &str) -> bool {
    if !rustix::process::getuid().is_root() {
        skip(test, "FRR's sockets are in a directory of root's");
        return false;
    }
    redis(test)
}

/// H3, H4, H10, H19: networks come, change and go, and neither side is told of a thing before the other is ready for it.
#[test]
fn h03_h04_h19_config_db_and_frr_change_in_one_order() {
    if !ready("h03_h04_h19_config_db_and_frr_change_in_one_order") {
        return;
    }
    let exit = Exit::start("order");
    exit.switch.stand_in.behave(Manners { delay: std::time::Duration::from_millis(1), ..Manners::default() });
    for tenants in [2, 3, 1, 1] {
        let wanted = Wanted::of(tenants);
        let output = exit.make(&wanted, "20");
        assert!(output.status.success(), "{tenants}: {}", text(&output));
        exit.is(&wanted, &output);
    }
}

/// What one of the two does not take, neither has.
#[test]
fn h17_both_or_neither() {
    if !ready("h17_both_or_neither") {
        return;
    }
    let exit = Exit::start("both");
    let (two, three, one) = (Wanted::of(2), Wanted::of(3), Wanted::of(1));
    let output = exit.make(&two, "20");
    assert!(output.status.success(), "{}", text(&output));
    // FRR refuses an instance, or something in it, after its VRF came
    let asn = three.routing.lines().find_map(|line| line.strip_prefix("router bgp ")).unwrap();
    let vrfs = |wanted: &Wanted| wanted.database.tables["VRF"].keys().cloned().collect::<std::collections::BTreeSet<_>>();
    let new = vrfs(&three).difference(&vrfs(&two)).next().unwrap().clone();
    let instance = format!("router bgp {asn} vrf {new}");
    let (_, inside) = three.routing.split_once(&instance).unwrap();
    let rd = inside.lines().map(str::trim).find(|line| line.starts_with("rd ")).unwrap();
    for line in [&instance, rd] {
        exit.frr.refuses(Some(line));
        let output = exit.make(&three, "20");
        assert!(!output.status.success() && text(&output).contains("the change is taken back"), "{line}: {}", text(&output));
        exit.is(&two, &output);
    }
    exit.frr.refuses(None);
    // daemons do not take a VRF that comes, after FRR was told of its lists
    exit.switch.stand_in.behave(Manners { silent_after: Some(1), ..Manners::default() });
    let output = exit.make(&three, "1");
    assert!(!output.status.success() && text(&output).contains("not seen within 1 s"), "{}", text(&output));
    exit.switch.stand_in.behave(Manners::default());
    exit.is(&two, &output);
    // nor one that goes, after FRR gave up its instance
    exit.switch.stand_in.behave(Manners { deaf_to: ["VRF".to_owned()].into(), ..Manners::default() });
    let output = exit.make(&one, "1");
    assert!(!output.status.success() && text(&output).contains("the change is taken back"), "{}", text(&output));
    exit.switch.stand_in.behave(Manners::default());
    exit.is(&two, &output);
    for wanted in [&three, &one] {
        let output = exit.make(wanted, "20");
        assert!(output.status.success(), "{}", text(&output));
        exit.is(wanted, &output);
    }
}
