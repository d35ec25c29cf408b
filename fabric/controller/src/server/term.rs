//! For how long a controller leads, by its own clock.

use std::time::Instant;

use tokio::sync::watch;

/// The time in which a controller may act as the one that leads. Clones share it. One that is over stays over, even if the lease could still be prolonged: what
/// acted under it has been told to stop.
#[derive(Debug, Clone)]
pub struct Term(watch::Sender<Until>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    Ever,
    Then(Instant),
    Over,
}

impl Until {
    fn holds(self) -> bool {
        match self {
            Self::Ever => true,
            Self::Then(at) => Instant::now() < at,
            Self::Over => false,
        }
    }
}

impl Term {
    /// Of one that is alone.
    pub fn endless() -> Self {
        Self(watch::Sender::new(Until::Ever))
    }

    /// Until then, if it is not prolonged.
    pub fn until(at: Instant) -> Self {
        Self(watch::Sender::new(Until::Then(at)))
    }

    /// Whether it lasts.
    pub fn holds(&self) -> bool {
        self.0.borrow().holds()
    }

    /// Prolongs it, if it is not over.
    pub fn prolong(&self, at: Instant) {
        self.0.send_if_modified(|until| {
            let later = until.holds() && matches!(until, Until::Then(before) if *before < at);
            if later {
                *until = Until::Then(at);
            }
            later
        });
    }

    /// Ends it now.
    pub fn end(&self) {
        self.0.send_replace(Until::Over);
    }

    /// Waits for its end.
    pub async fn over(&self) {
        let mut watched = self.0.subscribe();
        loop {
            let until = *watched.borrow_and_update();
            if !until.holds() {
                return;
            }
            let end = async {
                match until {
                    Until::Then(at) => tokio::time::sleep_until(at.into()).await,
                    Until::Ever | Until::Over => std::future::pending().await,
                }
            };
            tokio::select! {
                () = end => {}
                // never closed: its sender is `self`
                _ = watched.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_term_is_prolonged_until_it_is_over_and_never_after() {
        let now = Instant::now();
        let term = Term::until(now + Duration::from_millis(200));
        assert!(term.holds());
        term.prolong(now + Duration::from_millis(400));
        term.prolong(now + Duration::from_millis(100));
        term.over().await;
        assert!(now.elapsed() >= Duration::from_millis(400), "{:?}", now.elapsed());
        term.prolong(Instant::now() + Duration::from_mins(1));
        assert!(!term.holds(), "one that is over comes back");
        let endless = Term::endless();
        assert!(endless.holds());
        endless.end();
        endless.over().await;
        assert!(!endless.holds());
    }
}
