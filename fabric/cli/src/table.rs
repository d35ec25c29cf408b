//! Tables, times and foreign texts for people.

use std::io::Write as _;

/// How a command that talks to a controller prints.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Format {
    Table,
    Json,
}

/// Between two columns.
const GAP: &str = "  ";
const DAY: u64 = 24 * 60 * 60;

/// Rows below a header, columns aligned. The last column is as long as it is.
pub fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = header.map(|title| title.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let cells: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join(GAP).trim_end())
    };
    let mut text = line(header);
    for row in rows {
        text.push_str(&line(row.each_ref().map(String::as_str)));
    }
    text
}

/// To stdout. Whoever closed it wants no more, which is no failure.
pub fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// A foreign text in one line: nothing in it moves the cursor of a terminal.
pub fn clean(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// A foreign text of several lines, else as [`clean`].
pub fn clean_lines(text: &str) -> String {
    text.lines().map(|line| clean(line) + "\n").collect()
}

/// Milliseconds since 1970 as a date and time (UTC, RFC 3339).
pub fn time(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (days, of_day) = (seconds / DAY, seconds % DAY);
    // the Gregorian calendar repeats itself every 400 years of 146097 days; years begin in March here, so that a leap day is the last
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [["leaf-01".to_owned(), "new".to_owned()], ["l2".to_owned(), String::new()]];
        assert_eq!(table(["DEVICE", "KIND"], &rows), "DEVICE   KIND\nleaf-01  new\nl2\n");
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(time(1_709_251_199_999), "2024-02-29T23:59:59Z");
        assert_eq!(time(1_709_251_200_000), "2024-03-01T00:00:00Z");
        assert_eq!(time(4_107_542_400_000), "2100-03-01T00:00:00Z");
        // a controller may say anything
        assert!(time(u64::MAX).ends_with('Z'));
    }

    #[test]
    fn foreign_texts_move_no_cursor() {
        assert_eq!(clean("a\u{1b}[2Jb\nc"), "a [2Jb c");
        assert_eq!(clean_lines("a\n\u{7}b"), "a\n b\n");
    }
}
