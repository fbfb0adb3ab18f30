//! Proves that a WebSocket is opened for who asks for one as RFC 6455 says, and that whatever an agent
//! should not say ends it with the code that says why, at no cost to others.

use std::time::Duration;

use countersign_testkit::HttpVersion;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::harness::{Channel, Device, Installation, Time, WISH, completed, done};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn it_has_to_be_asked_for_as_the_rfc_says() {
    let installation = Installation::start().await;
    let device = Device::enrol(&installation, "pump").await;
    let without = |name: &str| WISH.into_iter().filter(|(other, _)| *other != name).collect::<Vec<_>>();
    let with = |name: &'static str, value: &'static str| {
        let mut wish = without(name);
        wish.push((name, value));
        wish
    };
    for (wish, status, code) in [
        (vec![], 426, "UPGRADE_REQUIRED"),
        (without("upgrade"), 426, "UPGRADE_REQUIRED"),
        (without("connection"), 426, "UPGRADE_REQUIRED"),
        (with("upgrade", "chat"), 426, "UPGRADE_REQUIRED"),
        (with("upgrade", "h2c"), 426, "UPGRADE_REQUIRED"),
        (without("sec-websocket-version"), 426, "UPGRADE_REQUIRED"),
        (with("sec-websocket-version", "8"), 426, "UPGRADE_REQUIRED"),
        (without("sec-websocket-key"), 400, "BAD_WEBSOCKET"),
        (with("sec-websocket-key", "c2hvcnQ="), 400, "BAD_WEBSOCKET"),
    ] {
        let mut connection = device.connect(&installation).await;
        let answer = Channel::ask(&mut connection, &device, &wish).await.err().unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{wish:?}");
        if status == 426 {
            let said = ["upgrade", "connection", "sec-websocket-version"].map(|name| answer.header(name));
            assert_eq!(said, ["websocket", "upgrade", "13"], "{wish:?}");
        }
        assert_eq!(device.heartbeat(&mut connection).await.status, 200, "the connection goes on");
    }
    let client = device.client(&installation).http(HttpVersion::Http2);
    let mut multiplexed = client.connect(installation.door()).await.unwrap();
    let answer = Channel::ask(&mut multiplexed, &device, &[]).await.err().unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (426, "UPGRADE_REQUIRED"));
}

#[tokio::test]
async fn it_is_opened_for_who_may_have_it() {
    let installation = Installation::start().await;
    let device = Device::enrol(&installation, "pump").await;
    let other = Device::enrol(&installation, "other").await;
    let mut connection = device.connect(&installation).await;
    let stranger = Device { token: format!("brz_{}", "0".repeat(64)), ..device.clone() };
    let answer = Channel::ask(&mut connection, &stranger, &WISH).await.err().unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (401, "UNAUTHORIZED"));
    let thief = Device { token: other.token.clone(), ..device.clone() };
    let answer = Channel::ask(&mut connection, &thief, &WISH).await.err().unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (401, "UNAUTHORIZED"));
    installation.admin().set(json!({ "enforcement": "enforce" })).await;
    let mut bare = installation.connect().await;
    let answer = Channel::ask(&mut bare, &device, &WISH).await.err().unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (403, "MTLS_REQUIRED"));
    done(&installation.admin().quarantine(device.id, "lost").await);
    let answer = Channel::ask(&mut bare, &device, &WISH).await.err().unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (403, "DEVICE_QUARANTINED"));
}

#[tokio::test]
async fn what_is_no_message_ends_it_and_what_is_unknown_does_not() {
    let installation = Installation::start().await;
    let device = Device::enrol(&installation, "pump").await;
    for (message, code) in [
        (Message::text("x".repeat(64 * 1024 + 1)), 1009),
        (Message::binary(vec![1, 2, 3]), 1003),
        (Message::text("not JSON"), 1007),
        (Message::text("[]"), 1007),
        (Message::text("{\"type\":\"ack\",\"id\":\"x\"}"), 1007),
        (Message::text("{\"type\":\"result\",\"id\":\"7b0a9a4e-5a3e-4f5f-9d3f-0e9c1f0c2a11\"}"), 1007),
    ] {
        let mut channel = Channel::open(&device, &installation).await;
        channel.send(message.clone()).await;
        let what = message.to_string().chars().take(40).collect::<String>();
        assert_eq!(channel.closed().await, code, "{what}");
    }
    let mut channel = Channel::open(&device, &installation).await;
    channel.say(&json!({ "type": "weather", "rain": [true] })).await;
    channel.say(&completed("7b0a9a4e-5a3e-4f5f-9d3f-0e9c1f0c2a11", &json!("of no command"))).await;
    channel.send(Message::Ping("x".into())).await;
    assert!(channel.is_alive().await);
    let goodbye = CloseFrame { code: CloseCode::Normal, reason: "done".into() };
    channel.socket.close(Some(goodbye)).await.unwrap();
    assert_eq!(channel.closed().await, 1000, "a goodbye is answered");
}

/// What no library writes: frames that break the rules.
#[tokio::test]
async fn frames_that_break_the_rules_end_it() {
    let installation = Installation::start().await;
    let device = Device::enrol(&installation, "pump").await;
    let masked = |first: u8, payload: &[u8]| {
        let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
        frame.extend_from_slice(payload);
        frame
    };
    let many_pieces: Vec<u8> = (0..20_000).flat_map(|_| masked(0x00, b"aaaaaaaa")).collect();
    for (what, bytes, code) in [
        ("not masked", b"\x81\x02{}".to_vec(), 1002),
        ("reserved bits", masked(0xf1, b"{}"), 1002),
        ("reserved opcode", masked(0x83, b"{}"), 1002),
        ("a long ping", [&[0x89, 0xfe, 0x00, 0x7e][..], &[0; 4 + 126]].concat(), 1002),
        ("a piece of nothing", masked(0x80, b"{}"), 1002),
        ("not UTF-8", masked(0x81, &[0xff, 0xfe]), 1007),
        ("a length beyond all", [&[0x81, 0xff][..], &[0x7f; 8], &[0; 4]].concat(), 1009),
        ("many pieces", [masked(0x01, b"a"), many_pieces].concat(), 1009),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), 1002),
    ] {
        let mut connection = device.connect(&installation).await;
        let upgraded = Channel::upgrade(&mut connection, &device, &WISH).await;
        let mut raw = upgraded.unwrap_or_else(|answer| panic!("{}", answer.text()));
        drop(raw.write_all(&bytes).await);
        let mut heard = Vec::new();
        let ended = timeout(PATIENCE, raw.read_to_end(&mut heard)).await;
        drop(ended.unwrap_or_else(|_| panic!("{what} does not end it")));
        // A close frame: its code is its first two bytes.
        let said = match heard.as_slice() {
            [0x88, _, high, low, ..] => u16::from_be_bytes([*high, *low]),
            _ => 0,
        };
        assert_eq!(said, code, "{what}: {heard:02x?}");
    }
    let mut channel = Channel::open(&device, &installation).await;
    assert!(channel.is_alive().await);
}

#[tokio::test]
async fn a_flood_ends_it_and_others_do_not_notice() {
    let installation = Installation::start().await;
    let device = Device::enrol(&installation, "pump").await;
    let other = Device::enrol(&installation, "other").await;
    let mut bystander = Channel::open(&other, &installation).await;
    let mut channel = Channel::open(&device, &installation).await;
    for _ in 0..1000 {
        channel.say(&json!({ "type": "noise" })).await;
    }
    assert_eq!(channel.closed().await, 1008);
    assert!(bystander.is_alive().await);
    let mut own = device.connect(&installation).await;
    assert_eq!(device.heartbeat(&mut own).await.status, 200, "heartbeats have limits of their own");
}

#[tokio::test]
async fn who_connects_over_and_over_is_told_to_wait() {
    let installation = Installation::start().await;
    let device = Device::enrol(&installation, "pump").await;
    let mut refused = None;
    for _ in 0..40 {
        let mut connection = device.connect(&installation).await;
        if let Err(answer) = Channel::ask(&mut connection, &device, &WISH).await {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (429, "RATE_LIMITED"));
    assert!(!refused.header("retry-after").is_empty());
}

#[tokio::test]
async fn who_does_not_answer_pings_is_gone_and_who_does_stays() {
    let config = "[http_door]\nwebsocket_ping_seconds = 1\n";
    let installation = Installation::configured(config, Time::Real).await;
    let device = Device::enrol(&installation, "silent").await;
    let other = Device::enrol(&installation, "talking").await;
    let mut talking = Channel::open(&other, &installation).await;
    let mut connection = device.connect(&installation).await;
    let upgraded = Channel::upgrade(&mut connection, &device, &WISH).await;
    let mut silent = upgraded.unwrap_or_else(|answer| panic!("{}", answer.text()));
    // The library answers pings whenever it is asked for the next message.
    let mut heard = Vec::new();
    let (_ended, alive) = tokio::join!(timeout(PATIENCE, silent.read_to_end(&mut heard)), async {
        let mut pings = 0;
        while pings < 3 {
            let next = futures_util::StreamExt::next(&mut talking.socket).await;
            pings += u32::from(matches!(next, Some(Ok(Message::Ping(_)))));
        }
        talking.is_alive().await
    });
    assert!(alive);
    assert_eq!(heard[..2], [0x89, 0], "a ping");
    assert_eq!(heard[2], 0x88, "and the end: {heard:02x?}");
    assert_eq!(u16::from_be_bytes([heard[4], heard[5]]), 4008);
}
