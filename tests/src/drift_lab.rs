//! Drift on a leaf with real kernel, FRR and nftables, with its agent and a controller beside it: how long until it is told, and until it is repaired.

use std::collections::BTreeMap;

use leafwall_intent::{SourceFile, Sources};
use leafwall_plan::{Planner, Table};
use leafwall_render::render_device;
use serde_json::Value;

use crate::fabric::{File, Size, generate};
use crate::machine::Machine;

/// The leaf of a generated fabric.
const LEAF: &str = "leaf-0001";

/// Starts controller and agent; the leaf's namespace, its FRR and the intents are there.
const START: &str = "
mkdir -p /tmp/drift; cd /tmp/drift
cat >again <<'END'
export LEAFWALL_CONTROLLER=https://127.0.0.1:7443 LEAFWALL_IDENTITY=/tmp/drift/ops
inside() { ip netns exec leaf \"$@\"; }
now() { date +%s%3N; }
END
. ./again
$leafwall controller init controller; $leafwall controller certificate controller --name leaf-0001 --role agent -o agent
$leafwall controller certificate controller --name ops --role operator -o ops
ip -n leaf link set lo up
export LEAFWALL_LOG=info,leafwall_agent=debug
inside setsid nohup $leafwall controller run controller --listen 127.0.0.1:7443 >controller.log 2>&1 </dev/null &
inside setsid nohup $leafwall agent --controller https://127.0.0.1:7443 --device leaf-0001 --state state --identity agent --frr-pathspace leaf \
  --timeout 120 --compare-every EVERY >agent.log 2>&1 </dev/null &
echo $! >agent.pid
for i in $(seq 300); do grep -q 'an agent is there' controller.log && break; sleep 0.2; done
";

/// What was done by hand, and what came of it.
#[derive(Debug, Clone)]
pub struct Drift {
    /// In words.
    pub what: &'static str,
    /// The controller's word for it.
    pub told: String,
    /// Milliseconds from the end of the command that did it until the controller wrote it down.
    pub to_report: u64,
    /// And until it wrote down that it is repaired.
    pub to_repair: u64,
}

/// A leaf in a machine, with its agent.
#[derive(Debug)]
pub struct DriftLab {
    machine: Machine,
}

/// A fabric of one leaf with so many tenants, each with a network of its own and a routed server.
pub fn intents(tenants: usize) -> Vec<File> {
    let routed =
        |text: String| text.replace("  mode: bridged\n", "  mode: routed\n").replace("  subnets:\n    - prefix: ", "  prefixes:\n    - ");
    let files = generate(Size { leaves: 1, spines: 2, tenants, leaves_per_tenant: 1 });
    files.into_iter().map(|(path, text)| (path, routed(text))).collect()
}

/// The artefacts of that leaf.
///
/// # Panics
/// Where the intents are none.
#[allow(clippy::unwrap_used)]
pub fn artefacts(files: &[File]) -> BTreeMap<String, String> {
    let sources = files.iter().map(|(path, text)| SourceFile { path: path.clone(), text: text.as_str().into() }).collect();
    let (model, _) = leafwall_intent::load(&Sources::new(sources));
    let planner = Planner::new(model.unwrap(), &Table::default(), 1, None).unwrap();
    let plan = planner.plan().devices.values().find(|device| device.name.to_string() == LEAF).unwrap();
    render_device(plan).unwrap().files.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
}

impl DriftLab {
    /// Brings the leaf up, as its first revision.
    ///
    /// # Panics
    /// Where it does not come up.
    pub fn start(machine: Machine, tenants: usize, compare_every: u64) -> Self {
        let files = intents(tenants);
        machine.device("leaf", &artefacts(&files));
        machine.write("fabric", &files.into_iter().collect());
        machine.must("daemons leaf");
        machine.must(&START.replace("EVERY", &compare_every.to_string()));
        let said = machine.run(". /tmp/drift/again; inside $leafwall apply fabric --reason first");
        let lab = Self { machine };
        assert!(said.status == 0, "{}\n{}\n{}", said.output, said.errors, lab.log());
        lab
    }

    /// The machine.
    pub const fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What the agent logged last.
    pub fn log(&self) -> String {
        self.machine.run("tail -n 60 /tmp/drift/agent.log; tail -n 20 /tmp/drift/controller.log").output
    }

    /// How long the agent's comparisons of some parts took, and its memory in KiB now and at most.
    pub fn costs(&self) -> String {
        self.machine
            .run("grep -E 'compared|looked at FRR|repaired' /tmp/drift/agent.log | tail -n 40; pid=$(pgrep -f 'agent --controller' | tail -n 1); grep -E 'VmRSS|VmHWM' /proc/$pid/status")
            .output
    }

    fn audit(&self) -> Vec<(u64, String)> {
        let output = self.machine.must(". /tmp/drift/again; inside $leafwall audit --format json");
        let entries = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        entries.filter_map(|entry| Some((entry["at"].as_u64()?, entry["what"].as_str()?.to_owned()))).collect()
    }

    /// Does something to the leaf by hand, and waits until it is repaired. `script` runs in the machine.
    ///
    /// # Panics
    /// Where it is not told, or not repaired.
    pub fn drift(&self, what: &'static str, script: &str) -> Drift {
        // what the agent changed itself before is looked at by now
        let output = self.machine.must(&format!(". /tmp/drift/again; sleep 3; {script} >&2; now"));
        let start: u64 = output.trim().lines().last().and_then(|line| line.parse().ok()).unwrap_or_default();
        for _ in 0..120 {
            let after: Vec<(u64, String)> = self.audit().into_iter().filter(|(at, _)| *at + 1000 >= start).collect();
            let told = after.iter().find(|(_, what)| what.contains("drifted"));
            let repaired = after.iter().rfind(|(_, what)| what.contains("is again as it should be"));
            if let (Some((told, words)), Some((repaired, _))) = (told, repaired) {
                return Drift {
                    what,
                    told: words.clone(),
                    to_report: told.saturating_sub(start),
                    to_repair: repaired.saturating_sub(start),
                };
            }
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        #[allow(clippy::panic)]
        {
            panic!("{what} is not told and repaired: {:#?}\n{}", self.audit(), self.log());
        }
    }

    /// Everything that issue and design name, once each.
    ///
    /// # Panics
    /// As [`Self::drift`].
    pub fn all(&self) -> Vec<Drift> {
        const VRF: &str = "vrf=$(ip -n leaf -o link show type vrf | head -n 1 | cut -d: -f2 | tr -d ' ')";
        let vtysh = "inside vtysh -N leaf -c 'configure terminal'";
        vec![
            self.drift("a VRF deleted", &format!("{VRF}; ip -n leaf link delete $vrf")),
            self.drift("a rule flushed", "inside nft flush chain inet leafwall input"),
            self.drift("an address added", &format!("{VRF}; ip -n leaf address add 192.0.2.9/32 dev $vrf")),
            self.drift("a routing rule deleted", "ip -n leaf rule delete table local"),
            self.drift("a route-map edited in FRR", &format!("{vtysh} -c 'route-map lw-any permit 10' -c 'set metric 7'")),
            self.drift("a VRF's VNI taken away in FRR", &format!("{VRF}; {vtysh} -c \"vrf $vrf\" -c \"no vni ${{vrf#vrf}}\"")),
        ]
    }
}
