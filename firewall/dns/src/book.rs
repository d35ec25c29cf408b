//! The addresses of names that rules use: until when clients may use them, and until when the kernel has them.
//!
//! An address is *needed* until the last answer with it has run out, and never shorter than [`Settings::floor`] after it: programs use addresses longer than they should. The
//! kernel is told to keep it twice as long, so that it is written again after half of that at the earliest, however often it is asked for (F14).
//!
//! Bounds: [`Settings::per_name`] addresses of one rule's name, [`Settings::total`] of all. Where a name has too many, the address whose last answer is the longest ago goes;
//! where all together are too many, one of the name that has the most. So a name with endless addresses harms itself alone. Those of the answer that is being looked at never
//! go: if nothing else is left, it is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use leafwall_policy::rule::Fqdn;

use crate::names::Names;

/// A time: since the proxy began, by a clock that never goes back.
pub type Moment = Duration;

/// How long and how much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// An address is kept at least this long after an answer with it.
    pub floor: Duration,
    /// No client is told a longer time to live, in seconds.
    pub cap: u32,
    /// Most addresses of one rule's name.
    pub per_name: usize,
    /// Most addresses of all together.
    pub total: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // programs that look a name up once and connect minutes later are many
            floor: Duration::from_mins(5),
            // an hour bounds what a name that has moved still opens
            cap: 3600,
            // more than an answer has room for
            per_name: 4096,
            // a file of about two megabytes, and as much in the kernel
            total: 32_768,
        }
    }
}

/// An address of a rule's name.
pub type Pair = (Fqdn, IpAddr);

/// What the kernel is to be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Addresses, and how long from now the kernel keeps each.
    pub add: Vec<(Fqdn, IpAddr, Duration)>,
    /// Addresses that go.
    pub remove: Vec<Pair>,
}

/// Most addresses told at once: one transaction takes some tens of milliseconds, and others wait for it.
const AT_ONCE: usize = 4096;
/// After a failure, doubled with every further one.
const RETRY: Duration = Duration::from_millis(100);
/// Never longer than this.
const RETRY_MOST: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Kept {
    needed: Moment,
    asked: u64,
    held: Option<Moment>,
    sent: Option<Moment>,
}

impl Kept {
    fn is_held(&self, needed: Moment) -> bool {
        self.held.is_some_and(|held| held >= needed)
    }

    fn ends(&self) -> Moment {
        self.needed.max(self.held.unwrap_or_default()).max(self.sent.unwrap_or_default())
    }
}

#[derive(Debug, Default)]
struct Addresses {
    kept: BTreeMap<IpAddr, Kept>,
    /// By their last answers.
    order: BTreeSet<(u64, IpAddr)>,
}

/// How an address stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The kernel has it for long enough.
    Held,
    /// Not yet.
    Awaited,
    /// Nobody keeps it: its name's rule is gone, or it had to make room.
    Gone,
}

/// There is no room for an answer's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no room for more addresses")]
pub struct Full;

/// All of them.
#[derive(Debug)]
pub struct Book {
    settings: Settings,
    names: BTreeMap<Fqdn, Addresses>,
    total: usize,
    /// Which answer is being looked at.
    answer: u64,
    dirty: BTreeSet<Pair>,
    leaving: BTreeSet<Pair>,
    under_way: Option<Change>,
    failures: u32,
    not_before: Moment,
}

impl Book {
    /// An empty one.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            names: BTreeMap::new(),
            total: 0,
            answer: 0,
            dirty: BTreeSet::new(),
            leaving: BTreeSet::new(),
            under_way: None,
            failures: 0,
            not_before: Moment::ZERO,
        }
    }

    /// How much is kept.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many addresses each name has, the kernel's ones.
    pub fn counts(&self) -> BTreeMap<Fqdn, usize> {
        let held = |addresses: &Addresses| addresses.kept.values().filter(|kept| kept.held.is_some()).count();
        self.names.iter().map(|(fqdn, addresses)| (fqdn.clone(), held(addresses))).collect()
    }

    /// How many addresses there are, the kernel's and those on the way.
    pub fn len(&self) -> usize {
        self.total
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// What was kept before: for how long the kernel was told to keep each, from now. It is told again, for it may have forgotten.
    pub fn recover(&mut self, kept: impl IntoIterator<Item = (Fqdn, IpAddr, Duration)>, now: Moment) {
        self.answer += 1;
        for (fqdn, address, remaining) in kept {
            // doubled when it is told, so no restart prolongs anything
            let needed = now + remaining.min(self.longest()) / 2;
            let _ = self.keep(&fqdn, address, needed);
        }
    }

    /// The longest time for which the kernel is ever told to keep an address.
    fn longest(&self) -> Duration {
        self.settings.floor.max(Duration::from_secs(self.settings.cap.into())) * 2
    }

    /// Clients get an answer with these addresses, of which each may be used for so many seconds. Until when each is needed.
    pub fn want(&mut self, addresses: &[(Fqdn, IpAddr, u32)], now: Moment) -> Result<Vec<(Pair, Moment)>, Full> {
        self.answer += 1;
        let mut wanted = Vec::with_capacity(addresses.len());
        for (fqdn, address, ttl) in addresses {
            let needed = now + Duration::from_secs((*ttl).into()).max(self.settings.floor);
            self.keep(fqdn, *address, needed)?;
            wanted.push(((fqdn.clone(), *address), needed));
        }
        Ok(wanted)
    }

    fn keep(&mut self, fqdn: &Fqdn, address: IpAddr, needed: Moment) -> Result<(), Full> {
        let answer = self.answer;
        if !self.names.get(fqdn).is_some_and(|addresses| addresses.kept.contains_key(&address)) {
            self.make_room(fqdn)?;
            self.total += 1;
        }
        let addresses = self.names.entry(fqdn.clone()).or_default();
        let kept = addresses.kept.entry(address).or_insert(Kept { needed, asked: answer, held: None, sent: None });
        addresses.order.remove(&(kept.asked, address));
        addresses.order.insert((answer, address));
        (kept.asked, kept.needed) = (answer, kept.needed.max(needed));
        if !kept.is_held(kept.needed) {
            let pair = (fqdn.clone(), address);
            self.leaving.remove(&pair);
            self.dirty.insert(pair);
        }
        Ok(())
    }

    fn make_room(&mut self, fqdn: &Fqdn) -> Result<(), Full> {
        if self.names.get(fqdn).is_some_and(|addresses| addresses.kept.len() >= self.settings.per_name) {
            self.evict(&fqdn.clone())?;
        }
        if self.total >= self.settings.total {
            let largest = self.names.iter().max_by_key(|(_, addresses)| addresses.kept.len()).map(|(fqdn, _)| fqdn.clone());
            self.evict(&largest.ok_or(Full)?)?;
        }
        Ok(())
    }

    /// The address of this name goes whose last answer is the longest ago.
    fn evict(&mut self, fqdn: &Fqdn) -> Result<(), Full> {
        let addresses = self.names.get_mut(fqdn).ok_or(Full)?;
        let (asked, address) = *addresses.order.first().ok_or(Full)?;
        if asked == self.answer {
            return Err(Full);
        }
        addresses.order.remove(&(asked, address));
        let gone = addresses.kept.remove(&address);
        self.total -= 1;
        let pair = (fqdn.clone(), address);
        self.dirty.remove(&pair);
        if gone.is_some_and(|kept| kept.held.is_some() || kept.sent.is_some()) {
            self.leaving.insert(pair);
        }
        Ok(())
    }

    /// How an address stands for who needs it so long.
    pub fn standing(&self, (fqdn, address): &Pair, needed: Moment) -> Standing {
        match self.names.get(fqdn).and_then(|addresses| addresses.kept.get(address)) {
            Some(kept) if kept.is_held(needed) => Standing::Held,
            Some(_) => Standing::Awaited,
            None => Standing::Gone,
        }
    }

    /// What the kernel is to be told next, if anything. One thing is under way at a time, until [`Self::settled`].
    pub fn change(&mut self, now: Moment) -> Option<Change> {
        if self.under_way.is_some() || now < self.not_before || (self.dirty.is_empty() && self.leaving.is_empty()) {
            return None;
        }
        let mut change = Change { add: Vec::new(), remove: self.leaving.iter().take(AT_ONCE).cloned().collect() };
        for (fqdn, address) in self.dirty.iter().take(AT_ONCE) {
            let Some(kept) = self.names.get_mut(fqdn).and_then(|addresses| addresses.kept.get_mut(address)) else { continue };
            // the kernel counts whole seconds
            let lasts = Duration::from_secs((kept.needed.saturating_sub(now) * 2).as_secs() + 1);
            kept.sent = Some(now + lasts);
            change.add.push((fqdn.clone(), *address, lasts));
        }
        self.under_way = Some(change.clone());
        Some(change)
    }

    /// When there is something to tell that has to wait, if there is.
    pub fn wake(&self) -> Option<Moment> {
        let waits = self.under_way.is_none() && !(self.dirty.is_empty() && self.leaving.is_empty());
        waits.then_some(self.not_before)
    }

    /// What was under way is in the kernel, or is not.
    pub fn settled(&mut self, is_in_kernel: bool, now: Moment) {
        let Some(change) = self.under_way.take() else { return };
        if !is_in_kernel {
            self.not_before = now + RETRY.saturating_mul(2_u32.saturating_pow(self.failures)).min(RETRY_MOST);
            self.failures = self.failures.saturating_add(1);
            return;
        }
        (self.failures, self.not_before) = (0, Moment::ZERO);
        for pair in change.remove {
            self.leaving.remove(&pair);
            // who wants it again since then does not have it
            if let Some(kept) = self.names.get_mut(&pair.0).and_then(|addresses| addresses.kept.get_mut(&pair.1)) {
                kept.held = None;
                self.dirty.insert(pair);
            }
        }
        for (fqdn, address, _) in change.add {
            let Some(kept) = self.names.get_mut(&fqdn).and_then(|addresses| addresses.kept.get_mut(&address)) else { continue };
            // one that went and came back meanwhile was sent as another one
            let Some(sent) = kept.sent.take() else { continue };
            kept.held = Some(sent);
            if kept.is_held(kept.needed) {
                self.dirty.remove(&(fqdn, address));
            }
        }
    }

    /// The kernel lacks these, whatever it said before.
    pub fn lost(&mut self, pairs: impl IntoIterator<Item = Pair>) {
        for (fqdn, address) in pairs {
            if let Some(kept) = self.names.get_mut(&fqdn).and_then(|addresses| addresses.kept.get_mut(&address)) {
                kept.held = None;
                self.dirty.insert((fqdn, address));
            }
        }
    }

    /// What nobody needs any more goes; the kernel has forgotten it by itself.
    pub fn expire(&mut self, now: Moment) {
        for (fqdn, addresses) in &mut self.names {
            let ended: Vec<(u64, IpAddr)> =
                addresses.kept.iter().filter(|(_, kept)| kept.ends() < now).map(|(address, kept)| (kept.asked, *address)).collect();
            for (asked, address) in ended {
                addresses.kept.remove(&address);
                addresses.order.remove(&(asked, address));
                self.dirty.remove(&(fqdn.clone(), address));
                self.total -= 1;
            }
        }
        self.names.retain(|_, addresses| !addresses.kept.is_empty());
    }

    /// Only these names are of rules. The sets of others go with their rules, and what is in them.
    pub fn retain(&mut self, names: &Names) {
        self.names.retain(|fqdn, addresses| {
            let stays = names.all().contains(fqdn);
            self.total -= if stays { 0 } else { addresses.kept.len() };
            stays
        });
        self.dirty.retain(|(fqdn, _)| names.all().contains(fqdn));
        self.leaving.retain(|(fqdn, _)| names.all().contains(fqdn));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fqdn(text: &str) -> Fqdn {
        text.parse().unwrap()
    }

    fn address(last: u8) -> IpAddr {
        [198, 51, 100, last].into()
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn small() -> Settings {
        Settings { floor: 60 * SECOND, cap: 600, per_name: 3, total: 5 }
    }

    fn want(book: &mut Book, name: &str, addresses: &[u8], ttl: u32, now: Moment) -> Result<Vec<(Pair, Moment)>, Full> {
        let addresses: Vec<_> = addresses.iter().map(|last| (fqdn(name), address(*last), ttl)).collect();
        book.want(&addresses, now)
    }

    #[test]
    fn an_address_is_awaited_until_the_kernel_has_it_for_long_enough() {
        let mut book = Book::new(small());
        let wanted = want(&mut book, "a.example", &[1], 5, Moment::ZERO).unwrap();
        assert_eq!(wanted[0].1, 60 * SECOND, "the floor");
        assert_eq!(book.standing(&wanted[0].0, wanted[0].1), Standing::Awaited);
        let change = book.change(Moment::ZERO).unwrap();
        assert_eq!(change.add, [(fqdn("a.example"), address(1), 121 * SECOND)]);
        assert_eq!(book.change(Moment::ZERO), None, "one thing at a time");
        book.settled(true, SECOND);
        assert_eq!(book.standing(&wanted[0].0, wanted[0].1), Standing::Held);
        // asked again and again: nothing to tell for as long as the kernel keeps it
        for at in [10, 30, 60] {
            let wanted = want(&mut book, "a.example", &[1], 5, at * SECOND).unwrap();
            assert_eq!(book.standing(&wanted[0].0, wanted[0].1), Standing::Held);
            assert_eq!(book.change(at * SECOND), None);
        }
        let wanted = want(&mut book, "a.example", &[1], 300, 61 * SECOND).unwrap();
        assert_eq!(book.standing(&wanted[0].0, wanted[0].1), Standing::Awaited, "longer than the kernel keeps it");
        assert_eq!(book.change(61 * SECOND).unwrap().add[0].2, 601 * SECOND);
    }

    #[test]
    fn what_fails_is_told_again_later_and_later() {
        let mut book = Book::new(small());
        want(&mut book, "a.example", &[1], 5, Moment::ZERO).unwrap();
        let mut now = Moment::ZERO;
        let mut waits = Vec::new();
        for _ in 0..8 {
            assert!(book.change(now).is_some());
            book.settled(false, now);
            waits.push(book.wake().unwrap().checked_sub(now).unwrap());
            assert_eq!(book.change(now), None);
            now = book.wake().unwrap();
        }
        assert_eq!((waits[0], waits[1], waits[7]), (RETRY, RETRY * 2, RETRY_MOST));
    }

    #[test]
    fn f14_names_are_bounded_and_harm_themselves_alone() {
        let mut book = Book::new(small());
        want(&mut book, "a.example", &[1, 2], 5, Moment::ZERO).unwrap();
        for last in 10..20 {
            want(&mut book, "greedy.example", &[last], 5, Moment::ZERO).unwrap();
        }
        let kept = |book: &Book, name: &str| book.names[&fqdn(name)].kept.keys().copied().collect::<Vec<_>>();
        assert_eq!(kept(&book, "greedy.example"), [17, 18, 19].map(address), "the last ones");
        assert_eq!(kept(&book, "a.example"), [1, 2].map(address));
        // all together are too many: one of the name with the most goes
        want(&mut book, "b.example", &[30], 5, Moment::ZERO).unwrap();
        assert_eq!((kept(&book, "greedy.example").len(), kept(&book, "a.example").len(), book.len()), (2, 2, 5));
        assert_eq!(want(&mut book, "c.example", &[40, 41, 42, 43], 5, Moment::ZERO), Err(Full), "an answer makes no room in itself");
        assert!(book.len() <= 5);
    }

    #[test]
    fn what_makes_room_leaves_the_kernel_unless_it_comes_back() {
        let mut book = Book::new(small());
        want(&mut book, "a.example", &[1, 2, 3], 5, Moment::ZERO).unwrap();
        book.change(Moment::ZERO).unwrap();
        book.settled(true, Moment::ZERO);
        want(&mut book, "a.example", &[4], 5, SECOND).unwrap();
        want(&mut book, "a.example", &[5], 5, SECOND).unwrap();
        want(&mut book, "a.example", &[1], 5, SECOND).unwrap();
        let change = book.change(SECOND).unwrap();
        assert_eq!(change.remove, [2, 3].map(|last| (fqdn("a.example"), address(last))));
        let wanted = want(&mut book, "a.example", &[2], 5, SECOND).unwrap();
        book.settled(true, SECOND);
        assert_eq!(book.standing(&wanted[0].0, wanted[0].1), Standing::Awaited, "it was taken out while it was wanted again");
        assert!(book.change(SECOND).unwrap().add.iter().any(|(_, told, _)| *told == address(2)));
    }

    #[test]
    fn a_restart_keeps_and_does_not_prolong() {
        let mut book = Book::new(small());
        book.recover([(fqdn("a.example"), address(1), 100 * SECOND), (fqdn("a.example"), address(2), Duration::MAX)], Moment::ZERO);
        let told: Vec<_> = book.change(Moment::ZERO).unwrap().add.into_iter().map(|(_, _, lasts)| lasts).collect();
        assert_eq!(told, [101 * SECOND, 1201 * SECOND], "no file makes anything last longer than answers do");
        book.settled(true, Moment::ZERO);
        book.expire(102 * SECOND);
        assert_eq!(book.len(), 1);
        book.retain(&Names::default());
        assert!(book.is_empty());
    }

    proptest! {
        /// Whatever happens in whatever order: bounds hold, and what is called held the kernel has, for as long as anybody was told to use it.
        #[test]
        fn f14_what_is_called_held_is_in_the_kernel(events in prop::collection::vec((0_u8..6, 0_u8..3, prop::collection::vec(0_u8..6, 1..4), 0_u32..900, 0_u64..200), 1..120)) {
            let mut book = Book::new(small());
            let mut kernel: BTreeMap<Pair, Moment> = BTreeMap::new();
            let mut now = Moment::ZERO;
            let mut under_way: Option<Change> = None;
            let mut promised: Vec<(Pair, Moment)> = Vec::new();
            for (what, name, lasts, ttl, later) in events {
                match what {
                    0 | 1 => promised.extend(want(&mut book, &format!("n{name}.example"), &lasts, ttl.min(600), now).unwrap_or_default()),
                    2 => if under_way.is_none() { under_way = book.change(now) },
                    3 | 4 => if let Some(change) = under_way.take() {
                        let works = what == 3;
                        if works {
                            kernel.retain(|pair, _| !change.remove.contains(pair));
                            // told a while ago, so the kernel counts from later on
                            kernel.extend(change.add.into_iter().map(|(fqdn, address, lasts)| ((fqdn, address), now + lasts)));
                        }
                        book.settled(works, now);
                    },
                    _ => { now += Duration::from_secs(later); book.expire(now); }
                }
                prop_assert!(book.len() <= 5 && book.names.values().all(|addresses| addresses.kept.len() <= 3));
                prop_assert_eq!(book.len(), book.names.values().map(|addresses| addresses.kept.len()).sum::<usize>());
                prop_assert!(book.names.values().all(|addresses| addresses.kept.len() == addresses.order.len()));
                for (pair, needed) in &promised {
                    if *needed >= now && book.standing(pair, *needed) == Standing::Held {
                        prop_assert!(kernel.get(pair).is_some_and(|until| until >= needed), "{:?} {:?}", pair, needed);
                    }
                }
            }
        }
    }
}
