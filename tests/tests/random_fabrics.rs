//! The random fabrics of the lab, without a lab: what is drawn is legal and small, and the same seed draws the same.

use std::collections::BTreeSet;
use std::fs;

use leafwall_tests::random_fabric::{MOST_ROUTERS, generate};
use leafwall_tests::{directory, rendered};

#[test]
fn what_is_drawn_is_legal_small_and_the_same_again() {
    let parent = std::env::temp_dir().join(format!("leafwall-random-{}", std::process::id()));
    let (mut redrawn, mut crossing) = (0, 0);
    let (mut kinds, mut modes) = (BTreeSet::new(), BTreeSet::new());
    let seeds = std::env::var("LEAFWALL_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    for seed in 0..seeds {
        let fabric = generate(seed, &parent).unwrap();
        assert!(fabric.routers <= MOST_ROUTERS && fabric.passing > 0);
        redrawn += fabric.redrawn.len();
        for why in fabric.redrawn.iter().filter(|why| why.contains("answer")) {
            eprintln!("{seed}: {why}");
        }
        crossing += fabric.crossing;
        let model = directory::load(&fabric.directory).unwrap().0.unwrap();
        kinds.extend(model.networks.values().map(|network| (network.kind, network.nat as u8)));
        modes.extend(model.allocations.values().map(|allocation| allocation.mode));
        rendered::rendered(&fabric.directory);
        if seed < 3 {
            let read = || fs::read_to_string(fabric.directory.join("tenants.yaml")).unwrap();
            let first = read();
            generate(seed, &parent).unwrap();
            assert_eq!(first, read());
        }
    }
    fs::remove_dir_all(&parent).unwrap();
    eprintln!("{redrawn} drawn again, {crossing} things pass from network to network");
    assert!(redrawn < 20 * usize::try_from(seeds).unwrap(), "too much is thrown away: {redrawn}");
    assert_eq!((kinds.len(), modes.len()), (7, 2), "the fabrics are all alike: {kinds:?}");
}
