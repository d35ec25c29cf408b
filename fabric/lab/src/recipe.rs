//! The recipe of the root file system: which suite, which packages, and the key of the cache.

use sha2::{Digest, Sha256};

use crate::error::{LabError, Result};

/// The recipe that this program was built with.
const RECIPE: &str = include_str!("../../../containerlab/recipe/rootfs.recipe");

/// How many bytes of the digest go into a directory's name: 64 bits, enough against chance.
const KEY_BYTES: usize = 8;

/// What a root file system is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    suite: String,
    packages: Vec<String>,
    key: String,
}

impl Recipe {
    /// The project's recipe.
    pub fn built_in() -> Result<Self> {
        Self::parse(RECIPE)
    }

    /// Reads a recipe: `suite NAME` and `package NAME` lines, `#` begins a comment.
    pub fn parse(text: &str) -> Result<Self> {
        let mut suite = None;
        let mut packages = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let content = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = content.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                ["suite", name] if suite.is_none() && is_debian_name(name) => suite = Some((*name).to_owned()),
                ["package", name] if is_debian_name(name) => packages.push((*name).to_owned()),
                _ => return Err(LabError::Recipe { line: index + 1, text: line.to_owned() }),
            }
        }
        let suite = suite.ok_or(LabError::Recipe { line: 1, text: "no suite".to_owned() })?;
        let digest = Sha256::digest(text.as_bytes());
        let (head, _) = digest.split_at(KEY_BYTES);
        let key = head.iter().fold(String::new(), |key, byte| format!("{key}{byte:02x}"));
        Ok(Self { suite, packages, key })
    }

    /// The Debian suite, for example `trixie`.
    pub fn suite(&self) -> &str {
        &self.suite
    }

    /// The packages to install beside the minimum.
    pub fn packages(&self) -> &[String] {
        &self.packages
    }

    /// A digest of the recipe's text, in hexadecimal: another recipe has another key.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// Names of suites and packages go on a command line: nothing else passes (Debian policy §5.6.1).
fn is_debian_name(name: &str) -> bool {
    name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projects_recipe_parses() {
        let recipe = Recipe::built_in().unwrap();
        assert_eq!(recipe.suite(), "trixie");
        assert!(recipe.packages().iter().any(|p| p == "frr"));
    }

    #[test]
    fn another_byte_is_another_key() {
        let one = Recipe::parse("suite trixie\npackage frr\n").unwrap();
        let two = Recipe::parse("suite trixie\npackage frr \n").unwrap();
        assert_ne!(one.key(), two.key());
        assert_eq!(one.key().len(), 2 * KEY_BYTES);
    }

    #[test]
    fn nothing_but_names_reaches_the_command_line() {
        for bad in [
            "suite trixie\npackage frr,--hook",
            "suite trixie\npackage --x",
            "package frr",
            "suite trixie\nsuite sid",
            "suite trixie\nrun it",
        ] {
            assert!(Recipe::parse(bad).is_err(), "{bad}");
        }
    }
}
