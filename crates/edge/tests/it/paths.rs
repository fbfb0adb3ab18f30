//! No spelling of a path reaches more than its plain form does.

use crate::site::Site;

#[tokio::test]
async fn no_spelling_leads_around_the_requirement() {
    let site = Site::usual().await;
    let tricks = [
        "/required/",
        "//required/x",
        "/./required/x",
        "/open/../required/x",
        "/open/%2e%2e/required/x",
        "/open\\..\\required/x",
        "/%72equired/x",
        "/required/renewal/../x",
        "/required/renewal/",
        "/required/renewal/x",
        "/required/x/renewal",
        "/required/x?/required/renewal",
    ];
    for path in tricks {
        let head = format!("GET {path} HTTP/1.1\r\nHost: door.test\r\nConnection: close\r\n\r\n");
        let heard = site.visitor(None).raw(head).await;
        assert!(heard.contains("MTLS_REQUIRED") || heard.starts_with("HTTP/1.1 400"), "{path}: {heard}");
    }
}

#[tokio::test]
async fn what_has_two_readings_is_a_400() {
    let site = Site::usual().await;
    let odd = [
        ("/open%2frequired", "PATH_ENCODED_DELIMITER"),
        ("/open/%5c..", "PATH_ENCODED_DELIMITER"),
        ("/open/%00", "PATH_ENCODED_DELIMITER"),
        ("/open/%252e%252e/x", "PATH_DOUBLE_ENCODED"),
        ("/open/%c0%ae%c0%ae/x", "PATH_OVERLONG_ENCODING"),
        ("/open/..;/x", "PATH_DOT_SEGMENT_PARAMETERS"),
        ("/open/%zz", "PATH_BAD_ESCAPE"),
    ];
    for (path, code) in odd {
        let heard = site.visitor(None).raw(format!("GET {path} HTTP/1.1\r\nHost: door.test\r\n\r\n")).await;
        assert!(heard.starts_with("HTTP/1.1 400") && heard.contains(code), "{path}: {heard}");
    }
}

#[tokio::test]
async fn the_upstream_gets_the_normal_form() {
    let site = Site::usual().await;
    let head = "GET /open//a/./b/../%7Ec?q=%2e HTTP/1.1\r\nHost: door.test\r\nConnection: close\r\n\r\n";
    let heard = site.visitor(None).raw(head).await;
    assert!(heard.contains(r#""path":"/open/a/~c?q=%2e""#), "{heard}");
}
