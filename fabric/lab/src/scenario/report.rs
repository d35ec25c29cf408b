//! What a scenario's run found: for people, for machines (JSON), for CI (JUnit).

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The run of one scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ScenarioReport {
    /// The scenario's name.
    pub scenario: String,
    /// The fabric's name.
    pub fabric: String,
    /// What ran it: kernel and accelerator.
    pub machine: String,
    /// Its steps, up to the last that was tried.
    pub steps: Vec<StepReport>,
}

/// The run of one step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StepReport {
    /// What it was.
    pub step: String,
    /// How long it took, in ms.
    pub milliseconds: u64,
    /// What was wrong; empty if nothing.
    pub failures: Vec<String>,
    /// How many single things were looked at.
    pub tried: usize,
    /// What else there is to tell: tables, gaps.
    pub notes: Vec<String>,
    /// What was measured: a name, and ms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<(String, u64)>,
}

impl StepReport {
    /// Whether it found nothing wrong.
    pub(crate) fn passed(&self) -> bool {
        self.failures.is_empty()
    }
}

impl ScenarioReport {
    /// Whether every step passed.
    pub(crate) fn passed(&self) -> bool {
        self.steps.iter().all(StepReport::passed)
    }
}

/// A step as a person reads it.
pub(crate) fn text(step: &StepReport) -> String {
    let mut out = String::new();
    let mark = if step.passed() { "ok    " } else { "FAILED" };
    let seconds = Duration::from_millis(step.milliseconds).as_secs_f64();
    let _ = writeln!(out, "{mark} {} ({seconds:.1} s)", step.step);
    for note in &step.notes {
        for line in note.lines() {
            let _ = writeln!(out, "       {line}");
        }
    }
    for failure in &step.failures {
        for (index, line) in failure.lines().enumerate() {
            let _ = writeln!(out, "       {}{line}", if index == 0 { "! " } else { "  " });
        }
    }
    out
}

/// The reports as JUnit's XML: a suite per scenario, a case per step.
pub(crate) fn junit(reports: &[ScenarioReport]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for report in reports {
        let failed = report.steps.iter().filter(|step| !step.passed()).count();
        let _ =
            writeln!(out, "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\">", escaped(&report.scenario), report.steps.len());
        for (index, step) in report.steps.iter().enumerate() {
            let seconds = Duration::from_millis(step.milliseconds).as_secs_f64();
            let _ = write!(
                out,
                "    <testcase classname=\"{}\" name=\"{} {}\" time=\"{seconds:.3}\"",
                escaped(&report.scenario),
                index + 1,
                escaped(&step.step)
            );
            if step.passed() {
                out.push_str("/>\n");
            } else {
                let message = escaped(step.failures.first().map_or("", |first| first.as_str()));
                let _ = writeln!(out, "><failure message=\"{message}\">{}</failure></testcase>", escaped(&step.failures.join("\n")));
            }
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            // XML 1.0 has no way to write the others.
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junit_counts_and_escapes() {
        let step = |failures: &[&str]| StepReport {
            measured: Vec::new(),
            step: "check <all>".to_owned(),
            milliseconds: 1500,
            failures: failures.iter().map(|&f| f.to_owned()).collect(),
            tried: 3,
            notes: vec![],
        };
        let report = ScenarioReport {
            scenario: "a&b".to_owned(),
            fabric: "t".to_owned(),
            machine: String::new(),
            steps: vec![step(&[]), step(&["x < \"y\"\u{1b}"])],
        };
        assert!(!report.passed());
        let xml = junit(&[report]);
        assert!(xml.contains("<testsuite name=\"a&amp;b\" tests=\"2\" failures=\"1\">"));
        assert!(xml.contains("time=\"1.500\"/>"));
        assert!(xml.contains("<failure message=\"x &lt; &quot;y&quot;\u{fffd}\">"));
    }
}
