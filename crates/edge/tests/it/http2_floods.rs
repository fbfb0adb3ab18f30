//! Floods over HTTP/2 end their own connection, are told of, and nobody else notices.

use std::time::Duration;

use countersign_edge::EdgeReport;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::raw_http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Ended, GOAWAY, HEADERS, PING, PREFACE,
    PRIORITY, RST_STREAM, RawHttp2, SETTINGS, UNKNOWN, WINDOW_UPDATE, flood, frame, get, head, post,
};
use crate::site::{PATIENCE, Plan, Site};

const CALM: Ended = Ended { reason: Some(ENHANCE_YOUR_CALM) };

/// Asks for something as others do, while `flood` goes on.
async fn is_served_beside<T>(site: &Site, flood: impl Future<Output = T>) -> T {
    let mut bystander = site.visitor(None).http2().await;
    let asking = async {
        for _ in 0..20 {
            assert_eq!(bystander.get("/open/x").await.unwrap().status, 200);
        }
    };
    let (ended, ()) = tokio::join!(flood, asking);
    ended
}

async fn is_told(site: &mut Site, expected: &str) {
    let EdgeReport::Refused(facts) = site.next_report().await else { panic!("a refusal") };
    assert_eq!(facts.code, expected);
    assert!(facts.address.ip().is_loopback());
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])
}

/// A header that the door is to remember: `x` with as much as the table holds.
fn remembered() -> Vec<u8> {
    // 4000 in seven bits and more (RFC 7541 section 5.1).
    [b"\x40\x01x\x7f\xa1\x1e".as_slice(), &[b'a'; 4000]].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_reset_unseen_end_the_connection() {
    let mut site = Site::usual().await;
    let pair = |stream| [get(stream, "/open/wait"), reset(stream)].concat();
    let hundred = |round: u32| (0..100).flat_map(|n| pair(200 * round + 2 * n + 1)).collect();
    let visitor = site.visitor(None);
    assert_eq!(is_served_beside(&site, flood(&visitor, &[], hundred)).await, CALM);
    is_told(&mut site, "UNREADABLE_REQUEST").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_reset_once_they_are_under_way_end_the_connection_too() {
    let mut site = Site::usual().await;
    let attack = async {
        let mut raw = RawHttp2::new(&site.visitor(None)).await;
        // Ten at a time stay below what the HTTP library minds.
        for round in 0.. {
            let streams: Vec<u32> = (0..10).map(|n| 20 * round + 2 * n + 1).collect();
            let begun: Vec<u8> = streams.iter().flat_map(|stream| get(*stream, "/open/wait")).collect();
            let ended: Vec<u8> = streams.iter().flat_map(|stream| reset(*stream)).collect();
            if !raw.try_send(&begun).await || !raw.try_settle().await || !raw.try_send(&ended).await {
                return 10 * round;
            }
        }
        0
    };
    let resets = timeout(PATIENCE, is_served_beside(&site, attack)).await.expect("ended in time");
    assert!((490..1000).contains(&resets), "after {resets}");
    is_told(&mut site, "HTTP2_FLOOD").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_changes_their_mind_now_and_then_goes_on() {
    let site = Site::usual().await;
    let wide = frame(WINDOW_UPDATE, 0, 0, &[0x3f, 0xff, 0, 0]);
    let mut raw = RawHttp2::saying(&site.visitor(None), &[PREFACE, &wide].concat()).await;
    for round in 0..700 {
        let stream = 4 * round + 1;
        raw.send(&[get(stream, "/open/wait"), get(stream + 2, "/open/x")].concat()).await;
        raw.until(HEADERS).await;
        raw.send(&reset(stream)).await;
    }
    raw.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_without_end_ends_the_connection() {
    let mut site = Site::usual().await;
    let begin = frame(HEADERS, END_STREAM, 1, &head("GET", "/open/x"));
    // A header of 16 KB each, not to be remembered; and frames that hold nothing.
    let field = [b"\x00\x01x\x7f\x80\x7e".as_slice(), &[b'a'; 16_255]].concat();
    for payload in [field.as_slice(), b""] {
        let more = |_round| frame(CONTINUATION, 0, 1, payload);
        let visitor = site.visitor(None);
        assert_eq!(is_served_beside(&site, flood(&visitor, &begin, more)).await, CALM);
        is_told(&mut site, "UNREADABLE_REQUEST").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_large_only_when_it_is_read_ends_the_connection() {
    let mut site = Site::usual().await;
    let mut raw = RawHttp2::new(&site.visitor(None)).await;
    // One byte each stands for 4000: 40 MB in 10 KB.
    let bomb = [head("GET", "/open/x"), remembered(), vec![0xbe; 10_000]].concat();
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb)).await;
    let goaway = raw.until(GOAWAY).await;
    assert_eq!(goaway.payload.get(4..8), Some(&[0, 0, 0, 0x0b][..]));
    is_told(&mut site, "UNREADABLE_REQUEST").await;
}

#[tokio::test]
async fn a_head_over_the_limit_is_answered_431_and_told_of() {
    let mut site = Site::usual().await;
    let mut raw = RawHttp2::new(&site.visitor(None)).await;
    let large = [head("GET", "/open/x"), remembered(), vec![0xbe; 20]].concat();
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &large)).await;
    let answer = raw.until(HEADERS).await;
    assert_eq!((answer.stream, answer.flags & END_STREAM), (1, END_STREAM));
    is_told(&mut site, "UNREADABLE_REQUEST").await;
    raw.send(&get(3, "/open/x")).await;
    assert_eq!(raw.until(HEADERS).await.stream, 3, "the connection goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_nobody_needs_end_the_connection() {
    let mut site = Site::usual().await;
    let frames = [
        frame(PING, 0, 0, &[0; 8]),
        frame(SETTINGS, 0, 0, &[]),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]),
        frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(UNKNOWN, 0, 0, b"what?"),
    ];
    for one in frames {
        let hundred = one.repeat(100);
        let visitor = site.visitor(None);
        let ended = is_served_beside(&site, flood(&visitor, &[], |_| hundred.clone())).await;
        // The door may be in the middle of an answer, and then has nothing to say.
        assert!([CALM, Ended { reason: None }].contains(&ended), "{one:?}: {ended:?}");
        is_told(&mut site, "HTTP2_FLOOD").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_without_content_ends_the_connection() {
    let site = Site::usual().await;
    let empty = frame(DATA, 0, 1, &[]).repeat(100);
    let begin = post(1, "/open/gather");
    let visitor = site.visitor(None);
    assert_eq!(is_served_beside(&site, flood(&visitor, &begin, |_| empty.clone())).await, CALM);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_that_the_door_is_made_to_send_end_the_connection() {
    let site = Site::usual().await;
    // A window that overflows is an error of the stream: it is the door that resets it (CVE-2025-8671).
    let overflow = [0x7f, 0xff, 0xff, 0xff];
    let pair = |stream| [get(stream, "/open/wait"), frame(WINDOW_UPDATE, 0, stream, &overflow)].concat();
    let visitor = site.visitor(None);
    let ended = is_served_beside(&site, flood(&visitor, &[], |round| pair(2 * round + 1))).await;
    assert_eq!(ended, CALM);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_no_answer_is_not_read_any_more() {
    let mut plan = Plan::usual().await;
    plan.config.write_timeout = Duration::from_millis(300);
    let site = plan.open();
    // What is asked for is answered, so that it costs nothing of the allowance.
    let asked =
        |round: u32| (0..50).flat_map(|n| get(100 * round + 2 * n + 1, "/open/x")).collect::<Vec<u8>>();
    let attack = async {
        let RawHttp2 { read: _unread, mut write } = RawHttp2::saying(&site.visitor(None), PREFACE).await;
        let mut sent = 0_usize;
        for round in 0.. {
            let bytes = asked(round);
            if write.write_all(&bytes).await.is_err() || write.flush().await.is_err() {
                break;
            }
            sent += bytes.len();
        }
        sent
    };
    let sent = timeout(PATIENCE, is_served_beside(&site, attack)).await.expect("ended in time");
    // What the system keeps for a connection, both ways, and no more.
    assert!(sent < 64 << 20, "{sent} bytes were taken");
}

#[tokio::test]
async fn more_requests_at_once_than_the_door_takes_are_refused_one_by_one() {
    let site = Site::usual().await;
    let mut raw = RawHttp2::new(&site.visitor(None)).await;
    for stream in (1..300).step_by(2) {
        raw.send(&get(stream, "/open/wait")).await;
    }
    let refused = raw.until(RST_STREAM).await;
    assert_eq!((refused.stream, refused.payload), (2 * 128 + 1, vec![0, 0, 0, 7]), "REFUSED_STREAM");
    assert_eq!(site.visitor(None).http2().await.get("/open/x").await.unwrap().status, 200);
}
