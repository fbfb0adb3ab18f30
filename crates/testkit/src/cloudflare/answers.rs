//! The shapes of answers.

use serde_json::{Value, json};

/// What becomes of a call.
pub(super) enum Answered {
    /// An answer.
    Json {
        /// The HTTP status.
        status: u16,
        /// Seconds to stay away.
        retry_after: Option<u64>,
        /// The body.
        body: String,
    },
    /// The connection is closed without one.
    Lost,
    /// Nothing happens.
    Silent,
}

/// A success, with the result.
pub(super) fn success(result: &Value) -> Answered {
    let body = json!({ "success": true, "errors": [], "messages": [], "result": result });
    Answered::Json { status: 200, retry_after: None, body: body.to_string() }
}

/// A page of a list.
pub(super) fn page(all: &[Value], page: usize, per_page: usize) -> Answered {
    let per_page = per_page.clamp(5, 50);
    let shown: Vec<&Value> = all.iter().skip(page.saturating_sub(1) * per_page).take(per_page).collect();
    let body = json!({
        "success": true, "errors": [], "messages": [], "result": shown,
        "result_info": {
            "page": page, "per_page": per_page, "count": shown.len(), "total_count": all.len(),
            "total_pages": all.len().div_ceil(per_page),
        },
    });
    Answered::Json { status: 200, retry_after: None, body: body.to_string() }
}

/// A failure with its code.
pub(super) fn failure(status: u16, code: u32, message: &str) -> Answered {
    let errors = json!([{ "code": code, "message": message }]);
    let body = json!({ "success": false, "errors": errors, "messages": [], "result": null });
    Answered::Json { status, retry_after: None, body: body.to_string() }
}
