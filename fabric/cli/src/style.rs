//! Colours only where a person reads.

use std::io::IsTerminal;

use leafwall_intent::Style;

/// How to print to stderr: coloured on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
pub fn stderr() -> Style {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && std::io::stderr().is_terminal() { Style::Coloured } else { Style::Plain }
}
