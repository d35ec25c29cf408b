//! Text → tree: our own text, and what `nft list table` prints of it.

use super::lexer::{Sign, Token, TokenKind, tokens};
use super::print::PRIORITIES;
use super::tree::{BaseChain, Chain, ChainKind, Command, Counter, Hook, Identifier, Policy, Script, Table, TableFamily, TableId};

/// Why a text could not be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: expected {expected}, found {}", if found.is_empty() { "the end".to_owned() } else { format!("`{found}`") })]
pub struct ParseError {
    /// The line, from 1.
    pub line: u32,
    /// The column in bytes, from 1.
    pub column: u32,
    /// What could have stood there.
    pub expected: &'static str,
    /// What stood there; empty at the end of the text.
    pub found: String,
}

impl ParseError {
    pub(super) const fn new(line: u32, column: u32, expected: &'static str, found: String) -> Self {
        Self { line, column, expected, found }
    }
}

/// Reads a script, or the listing of tables.
///
/// ```
/// let script = leafwall_policy::nft::parse("table inet leafwall {\n\tchain cluster {\n\t}\n}\n").unwrap();
/// assert_eq!(script.to_text(), "table inet leafwall {\n\tchain cluster {\n\t}\n}\n");
/// let error = leafwall_policy::nft::parse("table inet leafwall { chane x { } }").unwrap_err();
/// assert_eq!(error.to_string(), "1:23: expected `counter`, `set`, `map`, `chain` or `}`, found `chane`");
/// ```
pub fn parse(text: &str) -> Result<Script, ParseError> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0 };
    let mut commands = Vec::new();
    loop {
        parser.separators();
        if parser.kind() == TokenKind::End {
            return Ok(Script { commands });
        }
        match parser.word("`table` or `delete`")? {
            "table" => commands.push(parser.table()?),
            "delete" => {
                parser.keyword("table", "`table`")?;
                commands.push(Command::Delete(parser.table_id()?));
                parser.end_of_statement()?;
            }
            _ => return Err(parser.error_before("`table` or `delete`")),
        }
    }
}

/// A cursor over the tokens. It only ever goes forward, and nothing here recurses: no text can make it run long or deep.
pub(super) struct Parser<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
}

impl<'a> Parser<'_, 'a> {
    fn token(&self) -> Token<'a> {
        self.tokens.get(self.at).or(self.tokens.last()).copied().unwrap_or(Token { kind: TokenKind::End, line: 1, column: 1 })
    }

    pub(super) fn kind(&self) -> TokenKind<'a> {
        self.token().kind
    }

    pub(super) fn peek_after(&self, ahead: usize) -> TokenKind<'a> {
        self.tokens.get(self.at + ahead).map_or(TokenKind::End, |token| token.kind)
    }

    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    /// An error at the next token.
    pub(super) fn error(&self, expected: &'static str) -> ParseError {
        let token = self.token();
        let found = match token.kind {
            TokenKind::Word(word) => word.to_owned(),
            TokenKind::Quoted(text) => format!("\"{text}\""),
            TokenKind::Sign(sign) => sign_text(sign).to_owned(),
            TokenKind::Newline => "end of line".to_owned(),
            TokenKind::End => String::new(),
        };
        ParseError::new(token.line, token.column, expected, found)
    }

    /// An error at the token that was just taken.
    pub(super) fn error_before(&self, expected: &'static str) -> ParseError {
        Parser { tokens: self.tokens, at: self.at.saturating_sub(1) }.error(expected)
    }

    pub(super) fn word(&mut self, expected: &'static str) -> Result<&'a str, ParseError> {
        match self.kind() {
            TokenKind::Word(word) => {
                self.advance();
                Ok(word)
            }
            _ => Err(self.error(expected)),
        }
    }

    pub(super) fn keyword(&mut self, keyword: &str, expected: &'static str) -> Result<(), ParseError> {
        if self.take_word(keyword) { Ok(()) } else { Err(self.error(expected)) }
    }

    pub(super) fn take_word(&mut self, keyword: &str) -> bool {
        let taken = self.kind() == TokenKind::Word(keyword);
        if taken {
            self.advance();
        }
        taken
    }

    pub(super) fn take_sign(&mut self, sign: Sign) -> bool {
        let taken = self.kind() == TokenKind::Sign(sign);
        if taken {
            self.advance();
        }
        taken
    }

    pub(super) fn sign(&mut self, sign: Sign, expected: &'static str) -> Result<(), ParseError> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.error(expected)) }
    }

    pub(super) fn newlines(&mut self) {
        while self.kind() == TokenKind::Newline {
            self.advance();
        }
    }

    pub(super) fn separators(&mut self) {
        while matches!(self.kind(), TokenKind::Newline | TokenKind::Sign(Sign::Semicolon)) {
            self.advance();
        }
    }

    pub(super) fn at_end_of_statement(&self) -> bool {
        matches!(self.kind(), TokenKind::Newline | TokenKind::End | TokenKind::Sign(Sign::Semicolon | Sign::Close))
    }

    pub(super) fn end_of_statement(&mut self) -> Result<(), ParseError> {
        if self.at_end_of_statement() { Ok(()) } else { Err(self.error("the end of the statement")) }
    }

    /// A name, quoted (as counters are listed) or not.
    pub(super) fn identifier(&mut self) -> Result<Identifier, ParseError> {
        let (TokenKind::Word(text) | TokenKind::Quoted(text)) = self.kind() else { return Err(self.error("a name")) };
        let name = Identifier::new(text).map_err(|_| self.error("a name"))?;
        self.advance();
        Ok(name)
    }

    /// A number, decimal or with `0x`.
    pub(super) fn number<T: TryFrom<u64>>(&mut self, expected: &'static str) -> Result<T, ParseError> {
        let value = match self.kind() {
            TokenKind::Word(word) => number(word).and_then(|value| T::try_from(value).ok()),
            _ => None,
        };
        let value = value.ok_or_else(|| self.error(expected))?;
        self.advance();
        Ok(value)
    }

    /// One of the words of a table.
    pub(super) fn one_of<T: Copy>(&mut self, table: &[(T, &'static str)], expected: &'static str) -> Result<T, ParseError> {
        let TokenKind::Word(word) = self.kind() else { return Err(self.error(expected)) };
        let found = table.iter().find(|(_, name)| *name == word).map(|(value, _)| *value).ok_or_else(|| self.error(expected))?;
        self.advance();
        Ok(found)
    }

    fn table_id(&mut self) -> Result<TableId, ParseError> {
        let families = TableFamily::ALL.map(|family| (family, family.keyword()));
        let family = self.one_of(&families, "a table's family: `ip`, `ip6`, `inet` or `netdev`")?;
        Ok(TableId { family, name: self.identifier()? })
    }

    fn table(&mut self) -> Result<Command, ParseError> {
        let id = self.table_id()?;
        if !self.take_sign(Sign::Open) {
            self.end_of_statement()?;
            return Ok(Command::Declare(id));
        }
        let mut table = Table { id, counters: Vec::new(), sets: Vec::new(), chains: Vec::new() };
        loop {
            self.separators();
            if self.take_sign(Sign::Close) {
                self.end_of_statement()?;
                return Ok(Command::Define(table));
            }
            match self.kind() {
                TokenKind::Word("counter") => table.counters.push(self.counter()?),
                TokenKind::Word("set" | "map") => table.sets.push(self.set()?),
                TokenKind::Word("chain") => table.chains.push(self.chain()?),
                _ => return Err(self.error("`counter`, `set`, `map`, `chain` or `}`")),
            }
        }
    }

    /// `counter x { packets 0 bytes 0 }`; what it has counted is left out.
    fn counter(&mut self) -> Result<Counter, ParseError> {
        self.advance();
        let name = self.identifier()?;
        self.sign(Sign::Open, "`{`")?;
        self.separators();
        if self.take_word("packets") {
            self.number::<u64>("a number of packets")?;
            self.keyword("bytes", "`bytes`")?;
            self.number::<u64>("a number of bytes")?;
        }
        self.separators();
        self.sign(Sign::Close, "`}`")?;
        Ok(Counter { name })
    }

    fn chain(&mut self) -> Result<Chain, ParseError> {
        self.advance();
        let name = self.identifier()?;
        self.sign(Sign::Open, "`{`")?;
        let mut chain = Chain { name, base: None, rules: Vec::new() };
        loop {
            self.separators();
            if self.take_sign(Sign::Close) {
                return Ok(chain);
            }
            if self.kind() == TokenKind::End {
                return Err(self.error("a rule or `}`"));
            }
            if chain.base.is_none() && chain.rules.is_empty() && self.kind() == TokenKind::Word("type") {
                chain.base = Some(self.base_chain()?);
            } else {
                let rule = self.rule()?;
                chain.rules.push(rule);
            }
        }
    }

    fn base_chain(&mut self) -> Result<BaseChain, ParseError> {
        self.advance();
        let kind = self.one_of(&ChainKind::ALL, "a chain's type: `filter` or `nat`")?;
        self.keyword("hook", "`hook`")?;
        let hook = self.one_of(&Hook::ALL, "a hook")?;
        let device = if self.take_word("device") { Some(self.interface()?) } else { None };
        self.keyword("priority", "`priority`")?;
        let priority = self.priority()?;
        self.separators();
        // nft leaves nothing out when it lists, but takes a chain without a policy as accepting
        let policy = if self.take_word("policy") { self.one_of(&Policy::ALL, "`accept` or `drop`")? } else { Policy::Accept };
        self.end_of_statement()?;
        Ok(BaseChain { kind, hook, device, priority, policy })
    }

    /// `filter`, `filter + 10`, `-300`.
    fn priority(&mut self) -> Result<i32, ParseError> {
        const EXPECTED: &str = "a priority";
        let word = self.word(EXPECTED)?;
        if let Ok(number) = word.parse() {
            return Ok(number);
        }
        let named =
            PRIORITIES.iter().find(|(_, name)| *name == word).map(|(number, _)| *number).ok_or_else(|| self.error_before(EXPECTED))?;
        let offset = if self.take_sign(Sign::Plus) {
            self.number::<u16>(EXPECTED).map(i32::from)?
        } else if self.take_word("-") {
            -self.number::<u16>(EXPECTED).map(i32::from)?
        } else {
            0
        };
        Ok(named + offset)
    }
}

pub(super) fn number(word: &str) -> Option<u64> {
    let (digits, radix) = word.strip_prefix("0x").map_or((word, 10), |digits| (digits, 16));
    // `from_str_radix` takes a leading `+`
    if digits.bytes().all(|b| b.is_ascii_hexdigit()) { u64::from_str_radix(digits, radix).ok() } else { None }
}

const fn sign_text(sign: Sign) -> &'static str {
    match sign {
        Sign::Open => "{",
        Sign::Close => "}",
        Sign::LeftParenthesis => "(",
        Sign::RightParenthesis => ")",
        Sign::Semicolon => ";",
        Sign::Comma => ",",
        Sign::At => "@",
        Sign::And => "&",
        Sign::Or => "|",
        Sign::Plus => "+",
        Sign::Assign => "=",
        Sign::Equal => "==",
        Sign::NotEqual => "!=",
    }
}
