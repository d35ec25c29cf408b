//! The token that a device enrols with: a secret, and whose word it is good for.

use std::fmt;
use std::str::FromStr;

use leafwall_rollout::digest::{DIGEST_LEN, Digest};
use thiserror::Error;

/// What a token begins with.
const MARK: &str = "leafwall-token-1";

/// A secret that is good for one certificate, together with the digest of the authority's own certificate (of its DER): so a device that has nothing else yet
/// knows a controller from somebody who only says so.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Random bytes. Whoever has them gets the certificate.
    pub secret: [u8; DIGEST_LEN],
    /// SHA-256 of the authority's certificate.
    pub authority: Digest,
}

impl Token {
    /// What a controller keeps instead of a secret. The secret is random and as long as its digest: nothing slower is needed.
    pub fn digest(secret: &[u8]) -> Digest {
        Digest::of(secret)
    }
}

/// What is no token. The text is not told again: it may be a secret with a character too many.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("it is no token: that is `{MARK}.`, 64 hexadecimal digits, a dot and 64 more, as `leafwall enroll` prints it")]
pub struct NoToken;

impl FromStr for Token {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, NoToken> {
        let parts = text.trim().strip_prefix(MARK).and_then(|rest| rest.strip_prefix('.')).and_then(|rest| rest.split_once('.'));
        let (secret, authority) = parts.ok_or(NoToken)?;
        // 32 bytes in hexadecimal, as a digest is
        let secret = secret.parse::<Digest>().map_err(|_| NoToken)?;
        Ok(Self { secret: *secret.bytes(), authority: authority.parse().map_err(|_| NoToken)? })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}.{}.{}", Digest::from(self.secret), self.authority)
    }
}

/// Without the secret: this is what gets into logs.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("authority", &self.authority).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_printed_and_nothing_else_is_one() {
        let token = Token { secret: [0xab; DIGEST_LEN], authority: Digest::of(b"authority") };
        let text = token.to_string();
        assert_eq!(format!("{text}\n").parse(), Ok(token.clone()));
        assert!(!format!("{token:?}").contains("abab"), "{token:?}");
        for wrong in [
            "",
            "leafwall-token-1",
            &text[1..],
            &text[..text.len() - 1],
            &text.replace("-1.", "-2."),
            &text.to_uppercase(),
            &format!("{text}."),
        ] {
            let error = wrong.parse::<Token>().unwrap_err();
            assert!(!error.to_string().contains("abab"));
        }
    }
}
