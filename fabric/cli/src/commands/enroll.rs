//! `leafwall enroll DEVICE`

use std::time::Duration;

use leafwall_api::v1::{RevokeTokenRequest, Token, TokenRequest, TokensRequest};
use serde_json::json;

use crate::Outcome;
use crate::client::{self, Connection};
use crate::table::{Format, clean, print, table, time};

/// Prints a token with which a device gets its certificate, once.
///
/// The agent there makes its own key and asks for a certificate with the token, which is good for this device alone, and for one key. Whoever has the token until then
/// can be that device: it belongs into a file that only root reads.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  leafwall enroll leaf-01 | ssh leaf-01 'umask 077; cat > /etc/leafwall-token'\n  \
                        leafwall agent --controller https://10.0.0.1:7443 --device leaf-01 --enroll-token /etc/leafwall-token   # on leaf-01\n  \
                        leafwall enroll --list")]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    /// Which device
    #[arg(value_name = "DEVICE", required_unless_present_any = ["list", "revoke"], conflicts_with_all = ["list", "revoke"])]
    device: Option<String>,
    /// For how long: 90s, 30m, 12h, 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    valid: Duration,
    /// List tokens: whose they are, who had them made, and what became of them
    #[arg(long, conflicts_with = "revoke")]
    list: bool,
    /// Make a token worthless; a certificate that was given for it stays
    #[arg(long, value_name = "ID")]
    revoke: Option<String>,
    /// As what the list is printed
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

/// Asks, and prints.
pub fn run(args: &Args) -> Outcome {
    client::run(async {
        let mut client = args.connection.identities().await?;
        if let Some(id) = &args.revoke {
            let revoked = client.revoke_token(RevokeTokenRequest { id: id.clone() }).await.map_err(|status| client::refused(&status))?;
            eprintln!("token {id} of `{}` is worthless now", clean(&revoked.into_inner().device));
            return Ok(Outcome::Fine);
        }
        let Some(device) = &args.device else {
            let mut stream = client.tokens(TokensRequest {}).await.map_err(|status| client::refused(&status))?.into_inner();
            let mut tokens = Vec::new();
            while let Some(token) = stream.message().await.map_err(|status| client::refused(&status))? {
                tokens.push(token);
            }
            print(&listed(&tokens, args.format, now()));
            return Ok(Outcome::Fine);
        };
        let request = TokenRequest { device: device.clone(), valid_for: args.valid.as_secs() };
        let issued = client.issue_token(request).await.map_err(|status| client::refused(&status))?.into_inner();
        print(&format!("{}\n", clean(&issued.token)));
        eprintln!(
            "token {} of `{device}` is good until {}, for one key; it is not shown again",
            clean(&issued.id),
            time(issued.expires_at)
        );
        Ok(Outcome::Fine)
    })
}

const HEADER: [&str; 6] = ["TOKEN", "DEVICE", "ISSUED", "BY", "EXPIRES", "STATE"];

fn listed(tokens: &[Token], format: Format, now: u64) -> String {
    let row = |token: &Token| {
        [clean(&token.id), clean(&token.device), time(token.issued_at), clean(&token.issued_by), time(token.expires_at), state(token, now)]
    };
    let json = |token: &Token| {
        let Token { id, device, issued_by, issued_at, expires_at, used_at } = token;
        let line =
            json!({"id": id, "device": device, "issuedBy": issued_by, "issuedAt": issued_at, "expiresAt": expires_at, "usedAt": used_at});
        format!("{line}\n")
    };
    match format {
        Format::Json => tokens.iter().map(json).collect(),
        Format::Table => table(HEADER, &tokens.iter().map(row).collect::<Vec<_>>()),
    }
}

fn state(token: &Token, now: u64) -> String {
    match token.used_at {
        Some(at) => format!("used {}", time(at)),
        None if token.expires_at <= now => "expired".to_owned(),
        None => "open".to_owned(),
    }
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A number and a unit.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time: a number and one of s, m, h, d, as in 30m");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match number.checked_mul(seconds) {
        None | Some(0) => Err(wrong()),
        Some(seconds) => Ok(Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in ["", "h", "1", "1w", "-1h", "0s", "1.5h", "1µ", "18446744073709551615d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_token_is_open_used_or_expired() {
        let token = |expires_at, used_at| Token {
            id: "0123456789ab".into(),
            device: "leaf-01".into(),
            issued_by: "ada\u{1b}[2J".into(),
            issued_at: 0,
            expires_at,
            used_at,
        };
        let text = listed(&[token(2000, None), token(1000, None), token(1000, Some(500))], Format::Table, 1000);
        let states: Vec<_> = text.lines().skip(1).map(|line| line.split("  ").last().unwrap_or_default()).collect();
        assert_eq!(states, ["open", "expired", "used 1970-01-01T00:00:00Z"]);
        assert!(!text.contains('\u{1b}'));
    }
}
