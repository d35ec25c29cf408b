//! Changes inside of a table → text.

use std::fmt::{self, Write as _};

use super::print::own_elements;
use super::tree::{Change, Elements, TableId};

pub(super) fn print_change(f: &mut fmt::Formatter<'_>, id: &TableId, change: &Change) -> fmt::Result {
    match change {
        Change::FlushChain(name) => writeln!(f, "flush chain {id} {name}"),
        Change::DeleteChain(name) => writeln!(f, "delete chain {id} {name}"),
        Change::DeleteCounter(name) => writeln!(f, "delete counter {id} {name}"),
        Change::DeleteSet(set) => {
            let keyword = if matches!(set.elements, Elements::Values(_)) { "set" } else { "map" };
            writeln!(f, "delete {keyword} {id} {}", set.name)
        }
        Change::AddElements(set) | Change::DeleteElements(set) => {
            let verb = if matches!(change, Change::AddElements(_)) { "add" } else { "delete" };
            write!(f, "{verb} element {id} {} ", set.name)?;
            own_elements(f, set, ", ")?;
            f.write_char('\n')
        }
    }
}
