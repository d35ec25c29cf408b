//! The matrix as a table that a person can read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use leafwall_topology::{Family, Name};

use super::matrix::{CLOSED, Cell, Expected, Matrix};
use super::probers::Sight;
use crate::prober::ProbeKind;

/// What stands over the sources and beside the destinations.
const CORNER: &str = "from \\ to";

/// Draws what was seen: rows are sources, columns are destinations by number. A `!` marks what is not as expected.
pub(super) fn draw<'a>(endpoints: impl Iterator<Item = &'a Name>, matrix: &Matrix, seen: &HashMap<Cell, Sight>) -> String {
    let names: Vec<&Name> = endpoints.collect();
    let label = |index: usize| format!("{:>2} {}", index + 1, names[index]);
    let mut grid: Vec<Vec<String>> = vec![vec![String::new(); names.len()]; names.len()];
    for (row, from) in names.iter().enumerate() {
        for (column, to) in names.iter().enumerate() {
            grid[row][column] = if from == to { "\\".to_owned() } else { pair(from, to, matrix, seen) };
        }
    }
    let first = (0..names.len()).map(|index| label(index).len()).max().unwrap_or(0).max(CORNER.len());
    let widths: Vec<usize> =
        (0..names.len()).map(|column| grid.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(2)).collect();
    let mut out = format!("{CORNER:first$}");
    for (column, width) in widths.iter().enumerate() {
        let _ = write!(out, "  {:<width$}", column + 1);
    }
    for (row, cells) in grid.iter().enumerate() {
        let _ = write!(out, "\n{:first$}", label(row));
        for (cell, width) in cells.iter().zip(&widths) {
            let _ = write!(out, "  {cell:<width$}");
        }
    }
    let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
    lines.join("\n")
        + "\nall = everything that was tried passes, - = nothing arrives, 4: and 6: where the families differ, ! = not as expected"
}

/// What passes from one endpoint to another, in a word.
fn pair(from: &Name, to: &Name, matrix: &Matrix, seen: &HashMap<Cell, Sight>) -> String {
    let mut families: BTreeMap<Family, String> = BTreeMap::new();
    let mut unexpected = false;
    for family in Family::BOTH {
        let cells: Vec<_> = matrix.cells().filter(|(cell, _)| cell.from == *from && cell.to == *to && cell.family == family).collect();
        if cells.is_empty() {
            continue;
        }
        let passed: BTreeSet<ProbeKind> = cells
            .iter()
            .filter(|(cell, _)| matches!(seen.get(cell), Some(Sight::Passed | Sight::Arrived(_))))
            .map(|(cell, _)| cell.kind)
            .collect();
        unexpected |= cells.iter().any(|(cell, expected)| match (expected, seen.get(cell)) {
            (Expected::Whatever, _) => false,
            (Expected::Pass, sight) => sight != Some(&Sight::Passed),
            (Expected::Blocked, sight) => !matches!(sight, Some(Sight::Nothing(_))),
        });
        families.insert(family, word(&passed, cells.len()));
    }
    let mark = if unexpected { "!" } else { "" };
    let (v4, v6) = (families.get(&Family::V4), families.get(&Family::V6));
    match (v4, v6) {
        (None, None) => " ".to_owned(),
        (Some(v4), Some(v6)) if v4 == v6 => format!("{v4}{mark}"),
        (Some(v4), Some(v6)) => format!("4:{v4} 6:{v6}{mark}"),
        (Some(v4), None) => format!("4:{v4}{mark}"),
        (None, Some(v6)) => format!("6:{v6}{mark}"),
    }
}

fn word(passed: &BTreeSet<ProbeKind>, tried: usize) -> String {
    if passed.is_empty() {
        return "-".to_owned();
    }
    if passed.len() == tried {
        return "all".to_owned();
    }
    let shown = passed.iter().filter(|kind| **kind != CLOSED).map(|kind| match kind {
        ProbeKind::Ping => "ping".to_owned(),
        ProbeKind::Tcp(port) => port.to_string(),
        ProbeKind::Udp(port) => format!("u{port}"),
    });
    shown.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::super::matrix::tests::inventory;
    use super::super::{Expectation, Passes};
    use super::*;

    #[test]
    fn the_table_tells_what_passed_and_what_is_wrong() {
        let inventory = inventory();
        let name = |text: &str| -> Name { text.parse().unwrap() };
        let expect = Expectation { from: vec![name("a")], to: vec![name("b")], families: Family::BOTH.to_vec(), passes: Passes::Any };
        let matrix = Matrix::new(&inventory, &[expect], &[]).unwrap();
        let mut seen: HashMap<Cell, Sight> = matrix.cells().map(|(cell, _)| (cell.clone(), Sight::Nothing(String::new()))).collect();
        for cell in matrix.passing() {
            seen.insert(cell.clone(), Sight::Passed);
        }
        let leak = Cell { from: name("c"), to: name("b"), family: Family::V4, kind: ProbeKind::Ping };
        seen.insert(leak, Sight::Arrived(String::new()));
        let table = draw(inventory.endpoints.keys(), &matrix, &seen);
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows[0], "from \\ to  1    2    3        4");
        assert_eq!(rows[1], " 1 a       \\         all      4:-");
        assert_eq!(rows[4], " 4 c       4:-  4:-  4:ping!  \\");
    }
}
