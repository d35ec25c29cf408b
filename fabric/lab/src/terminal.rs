//! The terminal of the person who typed the command, while it belongs to a shell in the machine.

use std::io::{self, IsTerminal};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::control::Terminal;

/// What a terminal has if it does not say.
const DEFAULT_SIZE: (u16, u16) = (24, 80);

/// Keys go through untouched until this is dropped.
pub(crate) struct RawTerminal {
    before: Option<Termios>,
}

impl RawTerminal {
    /// Gives the terminal away, if there is one.
    pub(crate) fn enter() -> Self {
        let stdin = io::stdin();
        let before = stdin.is_terminal().then(|| tcgetattr(&stdin).ok()).flatten();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            let _ = tcsetattr(&stdin, OptionalActions::Now, &raw);
        }
        Self { before }
    }

    /// What the command in the machine is to be connected to.
    pub(crate) fn kind(&self) -> Terminal {
        if self.before.is_none() {
            return Terminal::Pipes;
        }
        let (rows, columns) = match tcgetwinsize(io::stdin()) {
            Ok(size) if size.ws_row > 0 && size.ws_col > 0 => (size.ws_row, size.ws_col),
            _ => DEFAULT_SIZE,
        };
        Terminal::Pty { rows, columns }
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
