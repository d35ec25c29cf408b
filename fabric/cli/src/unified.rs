//! What differs between two texts, as a unified diff.

use std::fmt::Write as _;
use std::ops::Range;

/// Lines around a change that are shown.
const CONTEXT: usize = 3;
/// Changed lines up to which the shortest way is looked for: it costs the square of them. Beyond, a whole stretch is shown as replaced.
const SHORTEST: usize = 2000;

/// A stretch of lines that was replaced by another; one of both may be empty.
type Change = (Range<usize>, Range<usize>);

/// Between two files, each with its name; empty if they are the same. One that is not there is `/dev/null` to `patch`.
pub fn diff(before: Option<&str>, after: Option<&str>, name: &str) -> String {
    let [old, new]: [Vec<&str>; 2] = [before, after].map(|text| text.unwrap_or_default().split_inclusive('\n').collect());
    let changes = changes(&old, &new);
    if changes.is_empty() && before.is_some() == after.is_some() {
        return String::new();
    }
    let side = |there: bool, letter: char| if there { format!("{letter}/{name}") } else { "/dev/null".to_owned() };
    let mut text = format!("--- {}\n+++ {}\n", side(before.is_some(), 'a'), side(after.is_some(), 'b'));
    let mut rest = changes.as_slice();
    while let Some((first, _)) = rest.split_first() {
        // changes whose surroundings meet are one hunk
        let mut count = 1;
        while rest.get(count).is_some_and(|next| next.0.start - rest[count - 1].0.end <= 2 * CONTEXT) {
            count += 1;
        }
        let (hunk, others) = rest.split_at(count);
        let last = hunk.last().unwrap_or(first);
        let lead = first.0.start.min(CONTEXT);
        let trail = (old.len() - last.0.end).min(CONTEXT);
        let (from, to) = (first.0.start - lead..last.0.end + trail, first.1.start - lead..last.1.end + trail);
        // to a String that can't fail
        let _ = writeln!(text, "@@ -{} +{} @@", span(&from), span(&to));
        let mut at = from.start;
        for (removed, added) in hunk {
            old[at..removed.start].iter().for_each(|line| push(&mut text, ' ', line));
            old[removed.clone()].iter().for_each(|line| push(&mut text, '-', line));
            new[added.clone()].iter().for_each(|line| push(&mut text, '+', line));
            at = removed.end;
        }
        old[at..from.end].iter().for_each(|line| push(&mut text, ' ', line));
        rest = others;
    }
    text
}

fn push(text: &mut String, mark: char, line: &str) {
    text.push(mark);
    text.push_str(line);
    if !line.ends_with('\n') {
        text.push_str("\n\\ No newline at end of file\n");
    }
}

fn span(lines: &Range<usize>) -> String {
    // an empty stretch is named by the line before it
    let first = if lines.is_empty() { lines.start } else { lines.start + 1 };
    if lines.len() == 1 { first.to_string() } else { format!("{first},{}", lines.len()) }
}

fn changes(old: &[&str], new: &[&str]) -> Vec<Change> {
    let head = old.iter().zip(new).take_while(|(one, other)| one == other).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(one, other)| one == other).count();
    let (a, b) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    if a.is_empty() && b.is_empty() {
        return Vec::new();
    }
    let pairs = if a.len() + b.len() <= SHORTEST { common(a, b) } else { Vec::new() };
    let mut found: Vec<Change> = Vec::new();
    let (mut x, mut y) = (0, 0);
    for (at, with) in pairs.into_iter().chain([(a.len(), b.len())]) {
        if at > x || with > y {
            found.push((head + x..head + at, head + y..head + with));
        }
        (x, y) = (at + 1, with + 1);
    }
    found
}

/// The longest sequence of lines that both have in this order, by their places.
fn common(a: &[&str], b: &[&str]) -> Vec<(usize, usize)> {
    let width = b.len() + 1;
    let mut longest = vec![0u32; (a.len() + 1) * width];
    for x in (0..a.len()).rev() {
        for y in (0..b.len()).rev() {
            longest[x * width + y] = if a[x] == b[y] {
                longest[(x + 1) * width + y + 1] + 1
            } else {
                longest[(x + 1) * width + y].max(longest[x * width + y + 1])
            };
        }
    }
    let (mut x, mut y, mut pairs) = (0, 0, Vec::new());
    while x < a.len() && y < b.len() {
        if a[x] == b[y] {
            pairs.push((x, y));
            (x, y) = (x + 1, y + 1);
        } else if longest[(x + 1) * width + y] >= longest[x * width + y + 1] {
            x += 1;
        } else {
            y += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_stands_between_its_surroundings() {
        let before: String = (1..=20).map(|n| n.to_string() + "\n").collect();
        let after = before.replace("\n5\n", "\nfive\n").replace("\n7\n", "\n").replace("\n18\n", "\n18\nmore\n");
        let expected = "--- a/a.yaml\n+++ b/a.yaml\n@@ -2,9 +2,8 @@\n 2\n 3\n 4\n-5\n+five\n 6\n-7\n 8\n 9\n 10\n@@ -16,5 +15,6 @@\n 16\n 17\n 18\n+more\n 19\n 20\n";
        assert_eq!(diff(Some(&before), Some(&after), "a.yaml"), expected);
        assert_eq!(diff(Some(&before), Some(&before), "a.yaml"), "");
    }

    #[test]
    fn files_come_and_go_and_need_no_last_line_end() {
        assert_eq!(diff(None, Some("a\nb"), "n"), "--- /dev/null\n+++ b/n\n@@ -0,0 +1,2 @@\n+a\n+b\n\\ No newline at end of file\n");
        assert_eq!(diff(Some("a\n"), None, "n"), "--- a/n\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n");
        assert_eq!(diff(None, Some(""), "n"), "--- /dev/null\n+++ b/n\n");
    }

    #[test]
    fn what_is_long_is_replaced_as_a_whole() {
        let text = |from: usize| (from..from + SHORTEST).map(|n| n.to_string() + "\n").collect::<String>();
        let told = diff(Some(&text(0)), Some(&text(1_000_000)), "n");
        assert!(told.contains(&format!("@@ -1,{SHORTEST} +1,{SHORTEST} @@")), "{}", &told[..60]);
    }
}
