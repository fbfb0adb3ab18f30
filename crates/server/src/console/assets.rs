//! The style, the script and the picture of every page, under a path that changes with them: browsers keep
//! them for good.

use std::sync::LazyLock;

use axum::response::{IntoResponse as _, Response};
use countersign_core::ids::SecretHash;
use http::header;

use crate::failure::{Failure, Outcome};
use crate::request::Segments;

const STYLE: &str = include_str!("assets/console.css");
const SCRIPT: &str = include_str!("assets/console.js");
const ICON: &str = include_str!("assets/icon.svg");

/// Changes with any of them.
static HASH: LazyLock<String> =
    LazyLock::new(|| SecretHash::of(&[STYLE, SCRIPT, ICON].concat()).to_string().chars().take(16).collect());

/// The path of one of them.
pub(super) fn path(file: &str) -> String {
    format!("/console/assets/{}/{file}", *HASH)
}

/// One of them; another version than this one's is not here.
pub(super) async fn file(Segments([hash, file]): Segments<2>) -> Outcome<Response> {
    let (media, content) = match file.as_str() {
        "console.css" => ("text/css; charset=utf-8", STYLE),
        "console.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => return Err(Failure::not_found("file")),
    };
    if hash != *HASH {
        return Err(Failure::not_found("file"));
    }
    let kept = "public, max-age=31536000, immutable";
    Ok(([(header::CONTENT_TYPE, media), (header::CACHE_CONTROL, kept)], content).into_response())
}
