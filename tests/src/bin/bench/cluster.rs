//! From objects in a real kube-apiserver to packets through a real kernel.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use leafwall_policy::semantics::Transport;
use leafwall_tests::apiserver::ApiServer;
use leafwall_tests::cluster_firewall::Reconciler;
use leafwall_tests::firewall::{parsed, quiet};
use leafwall_tests::wire;
use leafwall_tests::world::World;
use serde_json::json;

/// How many rules are timed; the median counts.
const RULES: u16 = 21;
/// How many objects come at once.
const OBJECTS: usize = 1000;
/// Requests at once: as from some people's kubectl, which would take its time over a thousand objects.
const CLIENTS: usize = 16;
const PATIENCE: Duration = Duration::from_mins(2);
/// Between two packets that knock.
const KNOCK: Duration = Duration::from_millis(5);

/// Prints `{"apply_to_packet_ms": …, "policies_ms": …}`.
pub fn measure() {
    let server = ApiServer::start().unwrap();
    let manifests = leafwall_tests::root().join("firewall/kube/manifests");
    for folder in [manifests.clone(), manifests.join("metal-stack")] {
        server.kubectl(&["apply", "-k", folder.to_str().unwrap()], "").unwrap();
    }
    server.kubectl(&["wait", "--for=condition=Established", "crd", "--all"], "").unwrap();
    let mut world = World::new("bench").unwrap();
    let firewall = quiet();
    let _reconciler = Reconciler::start(&server.firewall_kubeconfig().unwrap(), "fw", &firewall, &world.firewall);
    std::thread::sleep(Duration::from_secs(3));

    let (mut from_start, mut from_end): (Vec<f64>, Vec<f64>) = (0..RULES).map(|at| one(&server, &mut world, 1000 + at)).unzip();
    from_start.sort_by(f64::total_cmp);
    from_end.sort_by(f64::total_cmp);
    let policies = many(&server);
    let median = usize::from(RULES / 2);
    println!(
        "{}",
        json!({"apply_to_packet_ms": from_start[median], "worst_ms": from_start.last(), "after_kubectl_ms": from_end[median], "policies_ms": policies})
    );
}

/// From the start of `kubectl apply`, and from its end, to the first packet.
fn one(server: &ApiServer, world: &mut World, port: u16) -> (f64, f64) {
    let object = format!(
        "apiVersion: metal-stack.io/v1\nkind: ClusterwideNetworkPolicy\nmetadata: {{name: one-{port}, namespace: firewall}}\n\
         spec: {{egress: [{{ports: [{{protocol: UDP, port: {port}}}]}}]}}\n"
    );
    let destination = parsed("203.0.113.9");
    let start = Instant::now();
    std::thread::scope(|scope| {
        let kubectl = scope.spawn(|| {
            server.kubectl(&["apply", "-f", "-"], &object).unwrap();
            start.elapsed()
        });
        let mut token = u32::from(port) << 16;
        let passed = loop {
            token += 1;
            let transport = Transport::Udp { source: 10_000 + u16::try_from(token & 0x3fff).unwrap(), destination: port };
            let packet = wire::packet(parsed("10.0.1.77"), destination, transport, token);
            world.networks[0].sender.send(destination, &packet).unwrap();
            if world.networks[3].catcher.wait_for(token, KNOCK).is_some() {
                break start.elapsed();
            }
            assert!(start.elapsed() < PATIENCE, "no packet passes");
        };
        let applied = kubectl.join().unwrap();
        (passed.as_secs_f64() * 1e3, (passed.as_secs_f64() - applied.as_secs_f64()).max(0.0) * 1e3)
    })
}

/// From the first of many objects until the last of them is called deployed.
fn many(server: &ApiServer) -> f64 {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let file = Kubeconfig::read_from(server.kubeconfig()).unwrap();
    runtime.block_on(async {
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        let gvk = GroupVersionKind::gvk("metal-stack.io", "v1", "ClusterwideNetworkPolicy");
        let resource = ApiResource::from_gvk_with_plural(&gvk, "clusterwidenetworkpolicies");
        let api: Api<DynamicObject> = Api::namespaced_with(Client::try_from(config).unwrap(), "firewall", &resource);
        let start = Instant::now();
        stream::iter(0..OBJECTS)
            .for_each_concurrent(CLIENTS, |at| {
                let (block, api) = (format!("198.51.{}.{}/32", at / 250, at % 250), &api);
                let spec = json!({"egress": [{"to": [{"cidr": block}], "ports": [{"protocol": "TCP", "port": 443}]}]});
                let object = DynamicObject::new(&format!("many-{at}"), &resource).data(json!({"spec": spec}));
                async move { drop(api.create(&PostParams::default(), &object).await.unwrap()) }
            })
            .await;
        loop {
            let all = api.list(&ListParams::default()).await.unwrap();
            let deployed = |object: &&DynamicObject| object.data.pointer("/status/state").is_some_and(|state| state == "deployed");
            if all.items.len() >= OBJECTS && all.items.iter().filter(deployed).count() == all.items.len() {
                return start.elapsed().as_secs_f64() * 1e3;
            }
            assert!(start.elapsed() < PATIENCE, "not all are deployed");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
}
