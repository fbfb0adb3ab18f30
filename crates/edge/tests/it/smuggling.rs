//! Requests in which two programs could see different ones are answered 400 and end the connection.

use crate::site::Site;

async fn refused(site: &Site, request: &str) {
    let heard = site.visitor(None).raw(request).await;
    assert!(heard.starts_with("HTTP/1.1 400"), "{request:?}: {heard}");
    assert_eq!(heard.matches("HTTP/1.1").count(), 1, "nothing is served after it: {heard}");
}

#[tokio::test]
async fn ambiguous_lengths_are_refused() {
    let site = Site::usual().await;
    let bodies = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "Content-Length: 5, 5\r\n\r\nhello",
        "Content-Length: +5\r\n\r\nhello",
        "Content-Length: -1\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    for rest in bodies {
        let smuggled = "GET /open/smuggled HTTP/1.1\r\nHost: door.test\r\n\r\n";
        refused(&site, &format!("POST /open/x HTTP/1.1\r\nHost: door.test\r\n{rest}{smuggled}")).await;
    }
}

#[tokio::test]
async fn folded_and_broken_lines_are_refused() {
    let site = Site::usual().await;
    for head in ["X-A: b\r\n c\r\n", "X-A: b\r\n\tc\r\n", "X-A: b\nX-B: c\r\n", "X-A\r\n", " X-A: b\r\n"] {
        refused(&site, &format!("GET /open/x HTTP/1.1\r\nHost: door.test\r\n{head}\r\n")).await;
    }
}

#[tokio::test]
async fn a_broken_chunk_ends_the_connection() {
    let site = Site::usual().await;
    for chunks in ["zz\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "-5\r\nhello\r\n"] {
        let head = "POST /open/x HTTP/1.1\r\nHost: door.test\r\nTransfer-Encoding: chunked\r\n\r\n";
        let after = "GET /open/smuggled HTTP/1.1\r\nHost: door.test\r\n\r\n";
        let heard = site.visitor(None).raw(format!("{head}{chunks}{after}")).await;
        assert!(!heard.contains("smuggled"), "{heard}");
    }
}

#[tokio::test]
async fn a_request_is_for_exactly_one_host() {
    let site = Site::usual().await;
    for hosts in ["", "Host: a\r\nHost: a\r\n", "Host: a\r\nHost: b\r\n", "Host: a b\r\n", "Host: u@a\r\n"] {
        refused(&site, &format!("GET /open/x HTTP/1.1\r\n{hosts}\r\n")).await;
    }
    refused(&site, "GET http://a.test/open/x HTTP/1.1\r\nHost: b.test\r\n\r\n").await;
}

#[tokio::test]
async fn huge_heads_are_refused() {
    let site = Site::usual().await;
    let huge = format!("GET /open/x HTTP/1.1\r\nHost: door.test\r\nX: {}\r\n\r\n", "a".repeat(200_000));
    let heard = site.visitor(None).raw(huge).await;
    assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 431"), "{heard}");
    let many = "X-A: b\r\n".repeat(500);
    let heard = site.visitor(None).raw(format!("GET /open/x HTTP/1.1\r\nHost: a\r\n{many}\r\n")).await;
    assert!(heard.starts_with("HTTP/1.1 431"), "{heard}");
}

#[tokio::test]
async fn connect_is_not_served() {
    let site = Site::usual().await;
    refused(&site, "CONNECT door.test:443 HTTP/1.1\r\nHost: door.test:443\r\n\r\n").await;
}

#[tokio::test]
async fn h2c_is_not_passed_on() {
    let site = Site::usual().await;
    let request = "GET /open/x HTTP/1.1\r\nHost: door.test\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    let heard = site.visitor(None).raw(request).await;
    assert!(heard.starts_with("HTTP/1.1 200"), "{heard}");
    assert!(!heard.to_ascii_lowercase().contains("h2c"), "{heard}");
}

#[tokio::test]
async fn chunks_with_endless_extensions_and_trailers_without_end_are_refused() {
    let site = Site::usual().await;
    let head = "POST /open/gather HTTP/1.1\r\nHost: door.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let long = "a".repeat(200_000);
    let many = "X-A: b\r\n".repeat(20_000);
    for rest in
        [format!("1;{long}\r\nx\r\n0\r\n\r\n"), format!("0\r\nX: {long}\r\n\r\n"), format!("0\r\n{many}\r\n")]
    {
        let heard = site.visitor(None).raw(format!("{head}{rest}")).await;
        assert!(!heard.starts_with("HTTP/1.1 200"), "{}: {heard}", rest.get(..20).unwrap_or_default());
    }
}
