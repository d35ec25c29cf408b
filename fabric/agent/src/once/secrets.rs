//! BGP passwords: frr.conf names a secret, the device has it in a file.
//!
//! Artefacts hold `leafwall-secret-NAME` in place of a password, so that neither a revision nor a directory of artefacts has one. The device keeps NAME as a file in
//! a directory that only root reads; its text, without blanks at the end, is the password.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use leafwall_render::build::SECRET_PREFIX;
use leafwall_render::frr::{FrrConfig, NeighborStatement, Text};
use thiserror::Error;

/// The longest password that TCP MD5 takes in Linux (`TCP_MD5SIG_MAXKEYLEN`).
const PASSWORD_MAX: usize = 80;

/// A secret that can't be put in its place. A session without its password would come up with nobody, or with the wrong one: all is refused.
#[derive(Debug, Error)]
pub enum SecretError {
    /// No such file, or not readable.
    #[error("can't read the secret `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not a password that FRR takes. Its text is not repeated.
    #[error("the secret `{path}` is no BGP password: expected one word of 1 to {PASSWORD_MAX} printable ASCII characters")]
    NotAPassword {
        /// Which.
        path: PathBuf,
    },
}

/// Puts the secrets of `directory` where the configuration names them. How many there were.
pub fn fill(config: &mut FrrConfig, directory: &Path) -> Result<usize, SecretError> {
    let mut filled = 0;
    for password in passwords(config) {
        let named = password.to_string();
        let Some(name) = named.strip_prefix(SECRET_PREFIX) else { continue };
        *password = read(&directory.join(name))?;
        filled += 1;
    }
    Ok(filled)
}

/// The names of secrets that the configuration wants.
pub fn wanted(config: &mut FrrConfig) -> Vec<String> {
    let names = passwords(config).filter_map(|password| password.to_string().strip_prefix(SECRET_PREFIX).map(str::to_owned));
    names.collect()
}

fn passwords(config: &mut FrrConfig) -> impl Iterator<Item = &mut Text> {
    let statements = config.routers.iter_mut().flat_map(|router| &mut router.neighbors).flat_map(|neighbor| &mut neighbor.statements);
    statements.filter_map(|statement| match statement {
        NeighborStatement::Password(password) => Some(password),
        _ => None,
    })
}

fn read(path: &Path) -> Result<Text, SecretError> {
    let text = fs::read_to_string(path).map_err(|source| SecretError::Read { path: path.to_owned(), source })?;
    let password = text.trim_end();
    let legal = (1..=PASSWORD_MAX).contains(&password.len()) && password.bytes().all(|byte| byte.is_ascii_graphic());
    let wrong = || SecretError::NotAPassword { path: path.to_owned() };
    if legal { password.parse().map_err(|_| wrong()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &str = "router bgp 65001 vrf vrf10001
 neighbor 192.0.2.1 remote-as 65002
 neighbor 192.0.2.1 password leafwall-secret-upstream
exit
";

    /// A directory that goes away with it.
    struct Secrets(PathBuf);

    impl Secrets {
        fn with(text: &str) -> Self {
            static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
            let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("leafwall-secrets-{}-{number}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("upstream"), text).unwrap();
            Self(path)
        }
    }

    impl Drop for Secrets {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_secret_takes_its_place() {
        let secrets = Secrets::with("correct-horse\n");
        let mut config = FrrConfig::parse(CONF).unwrap();
        assert_eq!(wanted(&mut config), ["upstream"]);
        assert_eq!(fill(&mut config, &secrets.0).unwrap(), 1);
        assert!(config.print().unwrap().contains(" neighbor 192.0.2.1 password correct-horse\n"));
        assert!(wanted(&mut config).is_empty());
    }

    #[test]
    fn a_secret_that_is_missing_or_none_refuses_all() {
        let secrets = Secrets::with("x");
        let mut other = FrrConfig::parse(&CONF.replace("secret-upstream", "secret-other")).unwrap();
        assert!(matches!(fill(&mut other, &secrets.0), Err(SecretError::Read { .. })));
        for text in ["", "two words", "line\nno neighbor 192.0.2.1", &"x".repeat(81), "\u{7f}"] {
            let secrets = Secrets::with(text);
            let mut config = FrrConfig::parse(CONF).unwrap();
            let error = fill(&mut config, &secrets.0).unwrap_err();
            assert!(matches!(error, SecretError::NotAPassword { .. }), "{text:?}");
            assert!(text.is_empty() || !error.to_string().contains(text), "the secret is told");
        }
    }
}
