//! What is told on the next page: carried there by a cookie, which is gone once it was shown.

use axum::response::{IntoResponse as _, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue};
use maud::{Markup, html};

use super::session::{cookie, set_cookie};

const FLASH: &str = "countersign_flash";

/// The longest that is carried, in characters.
const LIMIT: usize = 1000;

/// How what is told went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flash {
    tone: Tone,
    text: String,
}

impl Flash {
    pub(super) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { tone, text: text.into() }
    }

    /// Leads to another page, which tells it.
    pub(super) fn then(&self, path: &str) -> Response {
        let mut response = Redirect::to(path).into_response();
        response.headers_mut().extend([self.cookie()]);
        response
    }

    /// The cookie that carries it.
    pub(super) fn cookie(&self) -> (HeaderName, HeaderValue) {
        let mark = match self.tone {
            Tone::Good => '+',
            Tone::Bad => '-',
        };
        let text: String = std::iter::once(mark).chain(self.text.chars().take(LIMIT)).collect();
        set_cookie(FLASH, &URL_SAFE_NO_PAD.encode(text), 60)
    }

    /// The cookie that forgets it.
    pub(super) fn forgotten() -> (HeaderName, HeaderValue) {
        set_cookie(FLASH, "", 0)
    }

    /// What was carried here; what cannot be read is nothing.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(cookie(headers, FLASH)?).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let tone = match text.chars().next()? {
            '+' => Tone::Good,
            '-' => Tone::Bad,
            _ => return None,
        };
        Some(Self { tone, text: text.chars().skip(1).take(LIMIT).collect() })
    }

    pub(super) fn shown(&self) -> Markup {
        let (class, role) = match self.tone {
            Tone::Good => ("notice good", "status"),
            Tone::Bad => ("notice bad", "alert"),
        };
        html! { p class=(class) role=(role) { (self.text) } }
    }
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    fn carried(cookie: &str) -> Option<Flash> {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
        Flash::read(&headers)
    }

    #[test]
    fn what_is_told_arrives_and_nothing_else_does() {
        let flash = Flash::new(Tone::Bad, "<b>acme/ä</b> is denied");
        let (_, value) = flash.cookie();
        let sent = value.to_str().unwrap().split(';').next().unwrap().to_owned();
        assert_eq!(carried(&sent), Some(flash));
        for bad in ["countersign_flash=", "countersign_flash=%%%", "countersign_flash=eA", "other=K2E"] {
            assert_eq!(carried(bad), None, "{bad}");
        }
    }
}
