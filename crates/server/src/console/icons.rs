//! Small pictures beside words, drawn in the colour of the text.

use maud::{Markup, html};

/// A picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Icon {
    Overview,
    Devices,
    Quarantine,
    Key,
    Alerts,
    Edges,
    Messages,
    Rules,
    Audit,
    Certificate,
    Tree,
    Rollout,
    People,
    Token,
    Search,
    Menu,
}

impl Icon {
    const fn path(self) -> &'static str {
        match self {
            Self::Overview => "M2.5 2.5h4.5v5h-4.5zM9 2.5h4.5v3h-4.5zM9 7.5h4.5v6h-4.5zM2.5 9.5h4.5v4h-4.5z",
            Self::Devices => "M2.5 3.5h11v7h-11zM6 13.5h4M8 10.5v3",
            Self::Quarantine => {
                "M8 1.8l5.2 2v4c0 3.2-2.2 5.4-5.2 6.4-3-1-5.2-3.2-5.2-6.4v-4zM8 5.2v3.2M8 10.8v.1"
            }
            Self::Key => {
                "M10.2 9.2a3.4 3.4 0 1 1 0-6.8 3.4 3.4 0 0 1 0 6.8zM7.7 8.3l-5.2 5.2M4.2 11.8l1.5 1.5"
            }
            Self::Alerts => {
                "M8 2.2a3.8 3.8 0 0 0-3.8 3.8v3l-1.4 2.2h10.4l-1.4-2.2v-3a3.8 3.8 0 0 0-3.8-3.8zM6.6 13.4h2.8"
            }
            Self::Edges => {
                "M8 2.2a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 0 0 0-3.2zM3.4 10.6a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 0 0 0-3.2zM12.6 10.6a1.6 1.6 0 1 0 0 3.2 1.6 1.6 0 0 0 0-3.2zM7.2 5.2l-3 5.4M8.8 5.2l3 5.4"
            }
            Self::Messages => "M2.5 3.5h11v8h-6l-3 2.5v-2.5h-2zM5 6.3h6M5 8.7h4",
            Self::Rules => "M2.5 4h7M2.5 8h4M2.5 12h5.5M10.5 9.8l1.8 1.8 2.6-3.6",
            Self::Audit => "M3.5 2.5h9v11h-9zM5.8 5.5h4.4M5.8 8h4.4M5.8 10.5h2.6",
            Self::Certificate => {
                "M2.5 2.5h11v7.5h-5M2.5 10v-7.5M2.5 10h1.5M5 5.2h6M5 7.5h3M6.5 13.8l-1-.7-1 .7v-3.3h2z"
            }
            Self::Tree => {
                "M6.2 2.5h3.6v3h-3.6zM2.5 10.5h3.6v3h-3.6zM9.9 10.5h3.6v3h-3.6zM8 5.5v2.5M4.3 10.5v-2.5h7.4v2.5"
            }
            Self::Rollout => "M2.5 13.5v-4h3v4M6.5 13.5v-7h3v7M10.5 13.5v-11h3v11",
            Self::People => {
                "M6 7.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM1.8 13.5c0-2.6 1.8-4 4.2-4s4.2 1.4 4.2 4M10.5 7.5a2.3 2.3 0 1 0-.8-4.4M11.5 9.6c1.7.3 2.8 1.7 2.8 3.9"
            }
            Self::Token => "M5.5 4.5l-3.5 3.5 3.5 3.5M10.5 4.5l3.5 3.5-3.5 3.5",
            Self::Search => "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.5 10.5l3.2 3.2",
            Self::Menu => "M2.5 4h11M2.5 8h11M2.5 12h11",
        }
    }

    pub(super) fn shown(self) -> Markup {
        html! {
            svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" {
                path d=(self.path()) {}
            }
        }
    }
}
