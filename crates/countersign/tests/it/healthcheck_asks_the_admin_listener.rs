//! Proves that `healthcheck` asks the address of the ports file, and that only a 200 is health.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

use crate::program::{Ran, run};

/// Answers one request with this status line, and gives back the request's header.
fn answer_once(status: &'static str) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut header = Vec::new();
        let mut byte = [0];
        while !header.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            header.extend_from_slice(&byte);
        }
        let body = "{\"status\":\"x\"}";
        let length = body.len();
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
            .unwrap();
        String::from_utf8(header).unwrap()
    });
    (port, served)
}

fn healthcheck(port: u16, more: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let ports = format!("{{\"admin\":{port},\"httpDoor\":1}}");
    fs_err::write(folder.path().join("ports.json"), ports).unwrap();
    run(folder.path(), &[], &[&["healthcheck", "--ports-file", "ports.json"], more].concat())
}

#[test]
fn a_ready_server_is_healthy() {
    let (port, served) = answer_once("200 OK");
    let ran = healthcheck(port, &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "ready\n"), "{}", ran.stderr);
    let header = served.join().unwrap();
    assert!(header.starts_with("GET /health/ready HTTP/1.1\r\n"), "{header}");
    assert!(header.to_ascii_lowercase().contains(&format!("host: 127.0.0.1:{port}\r\n")), "{header}");
}

#[test]
fn the_answer_is_printed_when_asked_for() {
    let (port, served) = answer_once("200 OK");
    assert_eq!(healthcheck(port, &["--json"]).stdout, "{\"status\":\"x\"}\n");
    served.join().unwrap();
}

#[test]
fn a_server_that_is_not_ready_is_a_bad_answer() {
    let (port, served) = answer_once("503 Service Unavailable");
    assert_eq!(healthcheck(port, &[]).code, 3);
    served.join().unwrap();
}

#[test]
fn nobody_listening_is_a_failure() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ran = healthcheck(port, &[]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
}
