//! Commands, where they are given, and when.

use std::fmt;

use leafwall_topology::{IfName, Vni};

use crate::refresh::Refresh;

/// When, in the order in which it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepKind {
    /// Neighbours, leaks and VNIs that go or change (H5).
    Withdraw,
    /// Instances that go, once their VNIs are seen to be gone (H19).
    RemoveInstances,
    /// Lists, route-maps, BFD and the default instance: before new links (H4).
    Global,
    /// VRFs, VNIs and their instances: after new links (H3).
    Instances,
    /// What nothing uses any more: after the links that used it.
    Clean,
    /// VRFs, which zebra forgets once the kernel has lost them.
    Forget,
}

impl StepKind {
    /// What it is called in a report.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Withdraw => "withdraw neighbours, leaks and VNIs",
            Self::RemoveInstances => "remove instances",
            Self::Global => "change the global stage",
            Self::Instances => "change VRFs and their instances",
            Self::Clean => "remove what is no longer used",
            Self::Forget => "forget VRFs",
        }
    }
}

/// Where a command is given: the statements that lead there, outermost first; none at the top.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Context(Vec<String>);

impl Context {
    /// Outside of everything.
    pub const fn top() -> Self {
        Self(Vec::new())
    }

    /// In this block of this one.
    #[must_use]
    pub fn inner(&self, statement: impl Into<String>) -> Self {
        let mut path = self.0.clone();
        path.push(statement.into());
        Self(path)
    }

    /// The statements that lead there.
    pub fn path(&self) -> &[String] {
        &self.0
    }
}

/// The word that leaves a block.
fn exit(statement: &str) -> &'static str {
    match statement.split(' ').next() {
        Some("address-family") => "exit-address-family",
        Some("vrf") => "exit-vrf",
        Some("vni") => "exit-vni",
        _ => "exit",
    }
}

/// Commands in one context. Without commands the context itself is what is wanted: it is made by being entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Where.
    pub context: Context,
    /// What, in order.
    pub commands: Vec<String>,
}

/// What is loaded at once, and read back before the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub kind: StepKind,
    /// Commands in order.
    pub batches: Vec<Batch>,
    /// Neighbours whose routes are to be looked at again afterwards.
    pub refreshes: Vec<Refresh>,
    /// L3VNIs that must be seen to be gone afterwards (H5).
    pub withdrawn: Vec<(IfName, Vni)>,
}

impl Step {
    pub(crate) const fn new(kind: StepKind) -> Self {
        Self { kind, batches: Vec::new(), refreshes: Vec::new(), withdrawn: Vec::new() }
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.refreshes.is_empty()
    }

    /// Adds a batch, to the last one if that is of the same context.
    pub(crate) fn push(&mut self, batch: Batch) {
        match self.batches.last_mut().filter(|last| last.context == batch.context) {
            Some(last) => last.commands.extend(batch.commands),
            None => self.batches.push(batch),
        }
    }

    /// Adds commands, if there are any.
    pub(crate) fn batch(&mut self, context: Context, commands: Vec<String>) {
        if !commands.is_empty() {
            self.push(Batch { context, commands });
        }
    }

    /// How many commands it has.
    pub fn commands(&self) -> usize {
        self.batches.iter().map(|batch| batch.commands.len().max(1)).sum()
    }

    /// The text for `vtysh -f`: every context that is entered is left, so that no command lands in another one than its own.
    pub fn text(&self) -> String {
        let mut lines = String::new();
        let mut open: &[String] = &[];
        for batch in &self.batches {
            let path = batch.context.path();
            // a context that has to be made is entered anew
            let shared = open.iter().zip(path).take_while(|(a, b)| a == b).count();
            leave(&mut lines, open, shared);
            for (depth, statement) in path.iter().enumerate().skip(shared) {
                line(&mut lines, depth, statement);
            }
            for command in &batch.commands {
                line(&mut lines, path.len(), command);
            }
            open = path;
        }
        leave(&mut lines, open, 0);
        lines
    }
}

fn line(lines: &mut String, depth: usize, text: &str) {
    lines.extend(std::iter::repeat_n(' ', depth));
    lines.push_str(text);
    lines.push('\n');
}

fn leave(lines: &mut String, open: &[String], down_to: usize) {
    for (depth, statement) in open.iter().enumerate().skip(down_to).rev() {
        line(lines, depth, exit(statement));
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "! {}", self.kind.title())?;
        f.write_str(&self.text())?;
        for refresh in &self.refreshes {
            writeln!(f, "! {refresh}")?;
        }
        Ok(())
    }
}
