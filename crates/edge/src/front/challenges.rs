//! What a CA asks over plain HTTP to see whose a name is (RFC 8555 section 8.3), and what it is answered.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// The path under which it asks.
const PREFIX: &str = "/.well-known/acme-challenge/";

/// Answers that a redirect has ready, by what is asked.
#[derive(Clone, Debug, Default)]
pub struct HttpChallenges(Arc<Mutex<HashMap<String, String>>>);

/// An answer that is ready until this is dropped.
#[derive(Debug)]
pub struct ChallengeAnswer {
    challenges: HttpChallenges,
    token: String,
}

impl HttpChallenges {
    /// Has `answer` ready for whoever asks for `token`.
    #[must_use = "dropped, it answers no more"]
    pub fn answer(&self, token: &str, answer: &str) -> ChallengeAnswer {
        self.0.lock().insert(token.to_owned(), answer.to_owned());
        ChallengeAnswer { challenges: self.clone(), token: token.to_owned() }
    }

    /// The answer to a request for this path, if it is one of those.
    pub(crate) fn find(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix(PREFIX)?;
        self.0.lock().get(token).cloned()
    }
}

impl Drop for ChallengeAnswer {
    fn drop(&mut self) {
        self.challenges.0.lock().remove(&self.token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_at_the_time_is_answered() {
        let challenges = HttpChallenges::default();
        let answer = challenges.answer("token", "token.thumbprint");
        let found = |path| challenges.find(path);
        assert_eq!(found("/.well-known/acme-challenge/token").as_deref(), Some("token.thumbprint"));
        for path in ["/.well-known/acme-challenge/", "/.well-known/acme-challenge/token/", "/token", "token"]
        {
            assert_eq!(found(path), None, "{path}");
        }
        drop(answer);
        assert_eq!(found("/.well-known/acme-challenge/token"), None);
    }
}
