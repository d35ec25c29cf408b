//! A candidate that goes on from the ones before is the one that is made from nothing: over random fabrics and random sequences of changes, word for word, refusals too.

use std::collections::BTreeMap;
use std::sync::Arc;

use leafwall_controller::history::Intents;
use leafwall_controller::pipeline::{Candidate, Pipeline};
use leafwall_proof::Reach;
use leafwall_tests::choices::{self, Ground};
use leafwall_tests::fabric::{File, Size, generate};
use leafwall_tests::random::Random;
use leafwall_tests::{controller, random_fabric};

/// How often a sequence changes.
const CHANGES: usize = 12;

/// A pipeline that goes on, and what stands in its fabric.
#[derive(Default)]
struct Sequence {
    pipeline: Pipeline,
    stored: Option<String>,
    reach: Arc<Reach>,
    made: usize,
    refused: usize,
}

impl Sequence {
    /// Builds what goes on and from nothing, compares, and commits or forgets it.
    fn change(&mut self, files: &[File], commits: bool) {
        let intents: Intents = files.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes())).collect();
        let texts = || files.iter().map(|(path, text)| format!("# {path}\n{text}")).collect::<Vec<_>>().join("\n");
        let again = self.pipeline.build(intents.clone(), self.stored.as_deref());
        let fresh = Pipeline::default().build(intents, self.stored.as_deref());
        match (again, fresh) {
            (Ok(again), Ok(fresh)) => {
                same(&again, &fresh, &texts);
                assert_eq!(self.reach.changes(&again.reach), self.reach.changes(&fresh.reach), "{}", texts());
                self.made += 1;
                if commits {
                    (self.stored, self.reach) = (Some(again.allocation), again.reach);
                }
            }
            (Err(again), Err(fresh)) => {
                assert_eq!(again.to_string(), fresh.to_string(), "{}", texts());
                self.refused += 1;
            }
            (Ok(_), Err(fresh)) => panic!("from nothing it is refused: {fresh}\n{}", texts()),
            (Err(again), Ok(_)) => panic!("going on it is refused: {again}\n{}", texts()),
        }
    }
}

fn same(again: &Candidate, fresh: &Candidate, texts: &dyn Fn() -> String) {
    assert_eq!(again.allocation, fresh.allocation, "{}", texts());
    assert_eq!(again.devices, fresh.devices, "{}", texts());
    assert_eq!(again.redundant, fresh.redundant, "{}", texts());
    assert_eq!(again.certificate, fresh.certificate, "{}", texts());
    assert_eq!(again.warnings, fresh.warnings, "{}", texts());
    assert_eq!(again.digest(None).unwrap(), fresh.digest(None).unwrap(), "{}", texts());
}

/// Takes documents away, gives them back, and moves others to another line or file.
struct Documents {
    whole: Vec<(String, String)>,
    gone: Vec<usize>,
}

impl Documents {
    fn new(files: &[File]) -> Self {
        let parts = files.iter().flat_map(|(path, text)| text.split("---\n").map(move |part| (path.clone(), part.to_owned())));
        Self { whole: parts.filter(|(_, part)| !part.trim().is_empty()).collect(), gone: Vec::new() }
    }

    fn change(&mut self, random: &mut Random) {
        match random.below(6) {
            0 if !self.gone.is_empty() => drop(self.gone.remove(random.below(self.gone.len()))),
            1 => self.gone.clear(),
            2 => {
                let at = random.below(self.whole.len());
                self.whole[at].1.insert_str(0, "# moved down\n");
            }
            3 => {
                let path = random.pick(&self.whole).0.clone();
                let at = random.below(self.whole.len());
                self.whole[at].0 = path;
            }
            _ => self.gone.push(random.below(self.whole.len())),
        }
    }

    fn files(&self) -> Vec<File> {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        for (number, (path, part)) in self.whole.iter().enumerate() {
            let text = files.entry(path.clone()).or_default();
            if !self.gone.contains(&number) {
                *text += "---\n";
                *text += part;
            }
        }
        files.into_iter().collect()
    }
}

/// Everything there is, one choice after the other: tenants' machines, networks, firewalls, policies, peerings, addresses.
#[test]
fn a_candidate_goes_on_through_choices() {
    let mut random = Random::from_environment(90);
    let (mut made, mut refused) = (0, 0);
    for number in 0..14 {
        let ground = if number % 2 == 0 { Ground::LAB } else { Ground { leaves: 3, machines: 8 } };
        let mut chosen = choices::choices(&mut random);
        let mut sequence = Sequence::default();
        for _ in 0..CHANGES {
            sequence.change(&choices::fabric(ground, &chosen), !random.once_in(3));
            for _ in 0..=random.below(2) {
                let at = random.below(chosen.len());
                chosen[at] = random.next().to_be_bytes()[0];
            }
        }
        made += sequence.made;
        refused += sequence.refused;
    }
    assert!(made > 100, "{made} made, {refused} refused");
}

/// Documents come, go and move, so that much is refused: by the checks, for want of numbers, or by the proof.
#[test]
fn a_candidate_goes_on_through_documents() {
    let parent = std::env::temp_dir().join(format!("leafwall-pipeline-{}", std::process::id()));
    let mut random = Random::from_environment(91);
    let (mut made, mut refused) = (0, 0);
    for seed in 0..8 {
        let written = random_fabric::generate(seed, &parent).unwrap();
        let files: Vec<File> = controller::intents(&written.directory).into_iter().collect();
        let mut documents = Documents::new(&files);
        let mut sequence = Sequence::default();
        sequence.change(&files, true);
        for _ in 0..CHANGES {
            documents.change(&mut random);
            sequence.change(&documents.files(), !random.once_in(3));
        }
        made += sequence.made;
        refused += sequence.refused;
    }
    std::fs::remove_dir_all(&parent).unwrap();
    assert!(made > 20 && refused > 20, "{made} made, {refused} refused");
}

/// Many tenants that have nothing to do with each other: most of the proof is taken over.
#[test]
fn a_candidate_goes_on_among_many_tenants() {
    let mut random = Random::from_environment(92);
    let files = generate(Size { leaves: 6, spines: 2, tenants: 24, leaves_per_tenant: 2 });
    let mut documents = Documents::new(&files);
    let mut sequence = Sequence::default();
    sequence.change(&files, true);
    for _ in 0..5 * CHANGES {
        documents.change(&mut random);
        sequence.change(&documents.files(), !random.once_in(3));
    }
    assert!(sequence.made > 10, "{} made, {} refused", sequence.made, sequence.refused);
}
