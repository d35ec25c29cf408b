//! Errors, as people read them.

/// An error with its causes on one line, outermost first.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Level {
        text: &'static str,
        source: Option<Box<Level>>,
    }

    #[test]
    fn causes_follow_what_they_caused() {
        let level = |text, source: Option<Level>| Level { text, source: source.map(Box::new) };
        assert_eq!(chain(&level("a", None)), "a");
        assert_eq!(chain(&level("a", Some(level("b", Some(level("c", None)))))), "a: b: c");
    }
}
