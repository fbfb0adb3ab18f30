//! Who does not take the answer it asked for is cut, a stream alone where there are others.

use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{interval, timeout};

use crate::raw_http2::{
    DATA, GOAWAY, HEADERS, PREFACE, RST_STREAM, RawHttp2, SETTINGS, WINDOW_UPDATE, frame, get,
};
use crate::site::{BIG, PATIENCE, Plan, Site, device_key};

const SHORT: Duration = Duration::from_millis(300);

async fn site(write_timeout: Duration) -> Site {
    let mut plan = Plan::usual().await;
    plan.config.write_timeout = write_timeout;
    plan.open()
}

const DOWNLOAD: &[u8] = b"GET /open/big HTTP/1.1\r\nHost: door.test\r\nConnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_nothing_is_cut() {
    let site = site(SHORT).await;
    let certificate = site.device("d1");
    let visitor = site.visitor(Some(&certificate));
    let mut one = visitor.stream().await;
    one.write_all(DOWNLOAD).await.unwrap();
    one.flush().await.unwrap();
    let mut two = RawHttp2::new(&visitor).await;
    // Windows so wide that only the connection itself holds the answer back.
    let wide = [0x00, 0x04, 0x7f, 0xff, 0xff, 0xff];
    let wide = [frame(SETTINGS, 0, 0, &wide), frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xfe, 0, 0])].concat();
    two.send(&[wide, get(1, "/open/big")].concat()).await;
    let gone = async {
        while site.door.live_connections(&device_key("d1")) > 0 {
            assert_eq!(site.visitor(None).get("/open/x").await.status, 200, "others are served");
        }
    };
    timeout(PATIENCE, gone).await.expect("cut in time");
    let mut heard = Vec::new();
    drop(one.read_to_end(&mut heard).await);
    assert!(heard.starts_with(b"HTTP/1.1 200") && heard.len() < BIG, "{} bytes", heard.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_slowly_gets_all_of_it() {
    let site = site(5 * SHORT).await;
    let mut stream = site.visitor(None).stream().await;
    stream.write_all(DOWNLOAD).await.unwrap();
    let mut ticks = interval(Duration::from_millis(50));
    let mut piece = vec![0; 512 * 1024];
    let mut heard = 0;
    while heard < BIG {
        ticks.tick().await;
        match stream.read(&mut piece).await.unwrap() {
            0 => break,
            read => heard += read,
        }
    }
    assert!(heard >= BIG, "{heard} bytes");
}

#[tokio::test]
async fn a_stream_without_a_window_is_reset_and_its_connection_goes_on() {
    let site = site(SHORT).await;
    let no_window = frame(SETTINGS, 0, 0, &[0x00, 0x04, 0, 0, 0, 0]);
    let hello = [PREFACE, &no_window].concat();
    let mut raw = RawHttp2::saying(&site.visitor(None), &hello).await;
    raw.send(&[get(1, "/open/big"), get(3, "/open/x")].concat()).await;
    let mut begun = [raw.until(HEADERS).await.stream, raw.until(HEADERS).await.stream];
    begun.sort_unstable();
    assert_eq!(begun, [1, 3]);
    raw.send(&frame(WINDOW_UPDATE, 0, 3, &[0, 1, 0, 0])).await;
    assert_eq!(raw.until(DATA).await.stream, 3, "who gives a window gets the answer");
    let reset = raw.until(RST_STREAM).await;
    assert_eq!((reset.stream, reset.payload), (1, vec![0, 0, 0, 8]), "CANCEL");
    raw.send(&get(5, "/open/x")).await;
    assert_eq!(raw.until(HEADERS).await.stream, 5);
}

#[tokio::test]
async fn a_window_that_opens_by_single_bytes_does_not_last() {
    let site = site(SHORT).await;
    let no_window = frame(SETTINGS, 0, 0, &[0x00, 0x04, 0, 0, 0, 0]);
    let hello = [PREFACE, &no_window, &get(1, "/open/big")].concat();
    let mut raw = RawHttp2::saying(&site.visitor(None), &hello).await;
    let mut ticks = interval(Duration::from_millis(20));
    let until_reset = async {
        loop {
            tokio::select! {
                frame = raw.next() => match frame.expect("the connection goes on").kind {
                    RST_STREAM => return,
                    kind => assert_ne!(kind, GOAWAY),
                },
                _tick = ticks.tick() => {
                    let byte = frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]);
                    raw.write.write_all(&byte).await.unwrap();
                    raw.write.flush().await.unwrap();
                }
            }
        }
    };
    timeout(PATIENCE, until_reset).await.expect("reset in time");
}

#[tokio::test]
async fn who_waits_for_the_upstream_is_not_cut() {
    let site = site(SHORT).await;
    let mut line = site.visitor(None).http2().await;
    let request = line.request(Method::GET, "/open/wait");
    let waiting = tokio::spawn(async move { line.call(request).await });
    let mut ticks = interval(SHORT);
    for _ in 0..=4 {
        ticks.tick().await;
    }
    assert!(!waiting.is_finished());
    let released = async {
        while !waiting.is_finished() {
            drop(site.visitor(None).get("/open/go").await);
        }
    };
    timeout(PATIENCE, released).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().status, 200);
}
