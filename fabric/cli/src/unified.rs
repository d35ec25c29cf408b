//! What differs between two texts, as a unified diff.

use std::time::Duration;

use similar::TextDiff;

/// Lines around a change that are shown.
const CONTEXT: usize = 3;
/// The shortest way is looked for so long; beyond, a whole stretch is shown as replaced.
const PATIENCE: Duration = Duration::from_millis(500);

/// Between two files, each with its name; empty if they are the same. One that is not there is `/dev/null` to `patch`.
pub fn diff(before: Option<&str>, after: Option<&str>, name: &str) -> String {
    if before == after {
        return String::new();
    }
    let side = |there: bool, letter: char| if there { format!("{letter}/{name}") } else { "/dev/null".to_owned() };
    let (old, new) = (side(before.is_some(), 'a'), side(after.is_some(), 'b'));
    let changes = TextDiff::configure().timeout(PATIENCE).diff_lines(before.unwrap_or_default(), after.unwrap_or_default());
    // an empty file that comes or goes has no lines to show, but a name
    format!("--- {old}\n+++ {new}\n{}", changes.unified_diff().context_radius(CONTEXT))
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
}
