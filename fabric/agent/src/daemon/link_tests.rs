use super::*;

fn reach(controllers: &[&str]) -> Reach {
    let channel = |address: &&str| Endpoint::from_shared((*address).to_owned()).unwrap().connect_lazy();
    Reach {
        controllers: controllers.iter().map(|address| (*address).to_owned()).collect(),
        identity: PathBuf::new(),
        channels: RefCell::new(controllers.iter().map(channel).collect()),
        current: Cell::new(0),
    }
}

fn refusal(hint: Option<&str>) -> Status {
    let mut status = Status::unavailable("this controller does not lead");
    if let Some(hint) = hint {
        status.metadata_mut().insert(LEADER_HINT, hint.parse().unwrap());
    }
    status
}

#[tokio::test]
async fn a_hint_is_followed_to_ones_own_controllers_alone() {
    let reach = reach(&["https://a:1", "https://b:1", "https://c:1"]);
    assert!(reach.turn(&refusal(Some("https://c:1/"))));
    assert_eq!(reach.current.get(), 2);
    // a stranger, nobody, and the one that refuses: the next one is asked
    for hint in [Some("https://stranger:1"), None, Some("https://b:1")] {
        let next = (reach.current.get() + 1) % 3;
        assert!(!reach.turn(&refusal(hint)), "{hint:?}");
        assert_eq!(reach.current.get(), next);
    }
    let alone = self::reach(&["https://a:1"]);
    assert!(!alone.turn(&refusal(Some("https://b:1"))));
    assert_eq!(alone.current.get(), 0);
}
