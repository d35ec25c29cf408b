//! BFD profiles.

use leafwall_render::frr::{BfdProfile, FrrConfig};

use crate::order::Plan;
use crate::slots::foreign;
use crate::step::{Batch, Context};

fn values(profile: &BfdProfile) -> [(&'static str, Option<u32>); 3] {
    [
        ("detect-multiplier", profile.detect_multiplier.map(u32::from)),
        ("transmit-interval", profile.transmit_interval),
        ("receive-interval", profile.receive_interval),
    ]
}

/// New and changed profiles come before the neighbours that use them, and go after them.
pub fn all(old: &FrrConfig, new: &FrrConfig, plan: &mut Plan) {
    let bfd = Context::top().inner("bfd");
    let by_name = |config: &FrrConfig, name| config.bfd.profiles.iter().find(|profile| profile.name == name).cloned();
    for profile in &new.bfd.profiles {
        let before = by_name(old, profile.name.clone());
        if before.as_ref() == Some(profile) {
            continue;
        }
        let context = bfd.inner(format!("profile {}", profile.name));
        let had = before.as_ref().map_or([("", None); 3], values);
        let mut commands = Vec::new();
        for ((word, value), (_, earlier)) in values(profile).into_iter().zip(had) {
            match value {
                Some(value) if earlier != Some(value) => commands.push(format!("{word} {value}")),
                // the default, which bfdd does not print
                None if earlier.is_some() => commands.push(format!("no {word}")),
                _ => {}
            }
        }
        if !commands.is_empty() || before.is_none() {
            plan.global.push(Batch { context: context.clone(), commands });
        }
        for batch in foreign(&context, before.as_ref().map_or(&[], |profile| &profile.foreign), &profile.foreign) {
            plan.global.push(batch);
        }
    }
    for profile in &old.bfd.profiles {
        if by_name(new, profile.name.clone()).is_none() {
            plan.clean.batch(bfd.clone(), vec![format!("no profile {}", profile.name)]);
        }
    }
    for batch in foreign(&bfd, &old.bfd.foreign, &new.bfd.foreign) {
        plan.global.push(batch);
    }
}
