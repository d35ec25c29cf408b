//! What an agent does with orders. Each may come twice, late, or from somebody who recorded it.

use super::{Action, Event, Kept, Machine};
use crate::digest::Digest;
use crate::message::{Answer, At, Order, Phase};
use crate::revision::{DeviceRevision, Generation};
use crate::signed::Signed;

impl Machine {
    pub(super) fn order(&mut self, now: u64, order: Order, actions: &mut Vec<Action>) {
        match order {
            Order::Prepare { revision } => self.prepare(revision, actions),
            Order::Apply { at, confirm_within } => self.apply(now, at, confirm_within, actions),
            Order::Confirm { at } => self.confirm(at, actions),
            Order::Abandon { at } => self.abandon(at, actions),
        }
    }

    fn prepare(&mut self, order: Signed<DeviceRevision>, actions: &mut Vec<Action>) {
        let revision = match order.verify(&self.keys) {
            Ok(revision) => revision,
            Err(error) => return refuse(actions, claimed(&order), error.to_string()),
        };
        let at = At { generation: revision.generation, revision: revision.revision };
        if revision.device != self.device {
            return refuse(actions, at, format!("this is `{}`, the order is for `{}`", self.device, revision.device));
        }
        if self.journal.is_confirmed(at) {
            return actions.push(Action::Say(Answer::Confirmed { at }));
        }
        if self.checking.as_ref().is_some_and(|kept| kept.at == at) {
            return; // the check's end answers both
        }
        match self.journal.phase_of(at) {
            Some(Phase::Prepared) => return actions.push(Action::Say(Answer::Prepared { at })),
            Some(Phase::Unconfirmed) => return actions.push(Action::Say(Answer::Applied { at })),
            Some(Phase::Applying | Phase::GoingBack) => return, // the end of that answers
            None => {}
        }
        if let Some(reason) = self.journal.outdated(at) {
            return refuse(actions, at, reason);
        }
        let here = self.journal.confirmed.as_ref().map(|kept| kept.at.revision);
        if revision.replaces != here {
            let name = |digest: Option<Digest>| digest.map_or_else(|| "nothing".to_owned(), |digest| format!("`{}`", digest.short()));
            return refuse(actions, at, format!("it replaces {}, but {} is here", name(revision.replaces), name(here)));
        }
        match self.journal.pending.as_ref().map(|pending| (pending.kept.at, pending.phase)) {
            None => {}
            // a newer one takes its place: it was never on the device
            Some((_, Phase::Prepared)) => {
                self.journal.pending = None;
                actions.push(Action::Save(self.journal.clone()));
            }
            Some((busy, _)) => return refuse(actions, at, format!("revision {} is still on its way", busy.generation)),
        }
        let kept = Kept { at, files: revision.files, order };
        self.checking = Some(kept.clone());
        actions.push(Action::Check(kept));
    }

    fn apply(&mut self, now: u64, at: At, confirm_within: u64, actions: &mut Vec<Action>) {
        if self.journal.is_confirmed(at) {
            return actions.push(Action::Say(Answer::Confirmed { at }));
        }
        let Some(pending) = self.journal.pending.as_mut().filter(|pending| pending.kept.at == at) else {
            return refuse(actions, at, format!("revision {} is not prepared", at.generation));
        };
        match pending.phase {
            Phase::Prepared => {
                pending.phase = Phase::Applying;
                pending.confirm_within = Some(confirm_within);
                actions.push(Action::Save(self.journal.clone()));
            }
            // said again by a controller that is there and needs more time, for other devices
            Phase::Unconfirmed => {
                self.deadline = Some(now.saturating_add(confirm_within));
                actions.push(Action::Say(Answer::Applied { at }));
            }
            Phase::Applying | Phase::GoingBack => {} // the end of that answers
        }
    }

    fn confirm(&mut self, at: At, actions: &mut Vec<Action>) {
        if self.journal.is_confirmed(at) {
            return actions.push(Action::Say(Answer::Confirmed { at }));
        }
        if self.journal.phase_of(at) != Some(Phase::Unconfirmed) {
            return refuse(actions, at, format!("revision {} does not wait for a confirmation", at.generation));
        }
        self.deadline = None;
        self.journal.confirmed = self.journal.pending.take().map(|pending| pending.kept);
        actions.extend([Action::Save(self.journal.clone()), Action::Say(Answer::Confirmed { at })]);
    }

    fn abandon(&mut self, at: At, actions: &mut Vec<Action>) {
        if self.journal.is_confirmed(at) {
            return refuse(actions, at, format!("revision {} is confirmed, and is only left for a newer one", at.generation));
        }
        if self.checking.take_if(|kept| kept.at == at).is_some() {
            self.journal.newest = Some(at); // believed, and newer than all before
        }
        let news = self.journal.renounce(at);
        let reason = "it was abandoned";
        match self.journal.phase_of(at) {
            Some(Phase::Applying | Phase::Unconfirmed) => return self.turn_back(reason.to_owned(), actions),
            Some(Phase::GoingBack) => {
                if news {
                    actions.push(Action::Save(self.journal.clone()));
                }
                return; // the end of that answers
            }
            Some(Phase::Prepared) => {
                self.journal.pending = None;
                actions.push(Action::Save(self.journal.clone()));
            }
            None if news => actions.push(Action::Save(self.journal.clone())),
            None => {}
        }
        actions.push(Action::Say(Answer::WentBack { from: at, reason: reason.to_owned() }));
    }
}

impl From<Order> for Event {
    fn from(order: Order) -> Self {
        Self::Order(order)
    }
}

fn refuse(actions: &mut Vec<Action>, at: At, reason: String) {
    actions.push(Action::Say(Answer::Refused { at, reason }));
}

/// What an order that is not believed calls itself, for the answer alone.
fn claimed(order: &Signed<DeviceRevision>) -> At {
    let said = serde_json::from_str::<DeviceRevision>(&order.text).ok();
    said.map_or_else(
        || At { generation: Generation::NONE, revision: order.digest() },
        |said| At { generation: said.generation, revision: said.revision },
    )
}
