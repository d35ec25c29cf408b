//! Text → tokens with places. Any bytes that are text give tokens or an error, never a panic.

use super::parse::ParseError;

/// A token and where it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub kind: TokenKind<'a>,
    pub line: u32,
    pub column: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind<'a> {
    /// A run of characters that can stand in names, numbers, addresses and ranges.
    Word(&'a str),
    /// What stood between double quotes.
    Quoted(&'a str),
    /// One of the signs.
    Sign(Sign),
    /// The end of a line; ends a rule, like `;`.
    Newline,
    /// The end of the text.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Open,
    Close,
    LeftParenthesis,
    RightParenthesis,
    Semicolon,
    Comma,
    At,
    And,
    Or,
    Plus,
    Assign,
    Equal,
    NotEqual,
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/' | b':' | b'*')
}

/// All tokens of the text, the last one [`TokenKind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let bytes = text.as_bytes();
    let mut found = Vec::with_capacity(text.len() / 4);
    let (mut at, mut line, mut line_start) = (0, 1_u32, 0);
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        let column = u32::try_from(start - line_start + 1).unwrap_or(u32::MAX);
        let error = |expected: &'static str| {
            ParseError::new(
                line,
                column,
                expected,
                text.get(start..).and_then(|rest| rest.chars().next()).map_or_else(String::new, String::from),
            )
        };
        let next = bytes.get(at + 1).copied();
        let mut sign = |sign: Sign, length: usize| {
            at += length;
            TokenKind::Sign(sign)
        };
        let kind = match byte {
            b' ' | b'\t' | b'\r' => {
                at += 1;
                continue;
            }
            // a line that goes on
            b'\\' if next == Some(b'\n') => {
                at += 2;
                line = line.saturating_add(1);
                line_start = at;
                continue;
            }
            b'#' => {
                while bytes.get(at).is_some_and(|b| *b != b'\n') {
                    at += 1;
                }
                continue;
            }
            b'\n' => {
                found.push(Token { kind: TokenKind::Newline, line, column });
                at += 1;
                line = line.saturating_add(1);
                line_start = at;
                continue;
            }
            b'"' => {
                at += 1;
                let inside = at;
                while bytes.get(at).is_some_and(|b| !matches!(b, b'"' | b'\n' | b'\\')) {
                    at += 1;
                }
                if bytes.get(at) != Some(&b'"') {
                    return Err(error("a closing `\"` on the same line"));
                }
                at += 1;
                TokenKind::Quoted(text.get(inside..at - 1).unwrap_or_default())
            }
            b'{' => sign(Sign::Open, 1),
            b'}' => sign(Sign::Close, 1),
            b'(' => sign(Sign::LeftParenthesis, 1),
            b')' => sign(Sign::RightParenthesis, 1),
            b';' => sign(Sign::Semicolon, 1),
            b',' => sign(Sign::Comma, 1),
            b'@' => sign(Sign::At, 1),
            b'&' => sign(Sign::And, 1),
            b'|' => sign(Sign::Or, 1),
            b'+' => sign(Sign::Plus, 1),
            b'=' if next == Some(b'=') => sign(Sign::Equal, 2),
            b'=' => sign(Sign::Assign, 1),
            b'!' if next == Some(b'=') => sign(Sign::NotEqual, 2),
            byte if is_word(byte) => {
                while bytes.get(at).copied().is_some_and(is_word) {
                    at += 1;
                }
                TokenKind::Word(text.get(start..at).unwrap_or_default())
            }
            _ => return Err(error("a name, a number or a sign of nftables")),
        };
        found.push(Token { kind, line, column });
    }
    let column = u32::try_from(at - line_start + 1).unwrap_or(u32::MAX);
    found.push(Token { kind: TokenKind::End, line, column });
    Ok(found)
}
