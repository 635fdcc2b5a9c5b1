//! Bodies over the limit, from senders that write before they read: they see the 413, and the
//! daemon does not read for ever.
//!
//! Deliberately absent: other bad requests; those need no process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpSocket, TcpStream};

use crate::daemon::zoho::Zoho;
use crate::daemon::{Home, PATIENCE, lane};

const MIB: usize = 1024 * 1024;
const PIECE: usize = 64 * 1024;

/// How a body's end is told.
#[derive(Clone, Copy, Debug)]
enum Framing {
    Length,
    Chunks,
}

async fn begin(home: &Home, framing: Framing, size: usize) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    // Little room on our side: what is written is then about what was read.
    socket.set_send_buffer_size(64 * 1024).unwrap();
    let mut stream = socket.connect(home.public.parse().unwrap()).await.unwrap();
    let framing = match framing {
        Framing::Length => format!("content-length: {size}"),
        Framing::Chunks => "transfer-encoding: chunked".to_owned(),
    };
    let head = format!(
        "POST /webhooks/crmplus HTTP/1.1\r\nhost: bridge\r\ncontent-type: application/json\r\n\
         connection: close\r\n{framing}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

fn piece(framing: Framing) -> Vec<u8> {
    let data = vec![b'x'; PIECE];
    match framing {
        Framing::Length => data,
        Framing::Chunks => [format!("{PIECE:x}\r\n").as_bytes(), &data, b"\r\n"].concat(),
    }
}

/// What the daemon says; empty when it cut the connection without a word.
async fn answer(stream: &mut OwnedReadHalf) -> String {
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    assert!(tokio::time::timeout(PATIENCE, reading).await.is_ok(), "no answer and no end");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_sender_that_writes_everything_first_sees_the_413() {
    let _lane = lane().await;
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "5s");
    let _daemon = home.serve().await;
    for framing in [Framing::Length, Framing::Chunks] {
        let size = 5 * MIB;
        let mut stream = begin(&home, framing, size).await;
        for _ in 0..size / PIECE {
            stream.write_all(&piece(framing)).await.unwrap();
        }
        if let Framing::Chunks = framing {
            stream.write_all(b"0\r\n\r\n").await.unwrap();
        }
        let answer = answer(&mut stream.into_split().0).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{framing:?}: {answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
    assert_eq!(home.admin("/status").await["deliveries"]["rejected"], 2);
}

#[tokio::test]
async fn a_sender_that_closes_its_side_first_sees_the_answer() {
    let _lane = lane().await;
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "5s");
    let _daemon = home.serve().await;
    for round in 0..20 {
        let mut stream = begin(&home, Framing::Length, 2).await;
        stream.write_all(b"{}").await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = answer(&mut stream.into_split().0).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "round {round}: {answer:?}");
    }
    let mut stream = begin(&home, Framing::Length, 2).await;
    stream.write_all(b"{").await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = answer(&mut stream.into_split().0).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "broke off: {answer:?}");
}

#[tokio::test]
async fn a_body_that_does_not_end_is_cut_off() {
    let _lane = lane().await;
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "5s");
    let _daemon = home.serve().await;
    for framing in [Framing::Length, Framing::Chunks] {
        let size = 64 * MIB;
        let (mut reading, mut writing) = begin(&home, framing, size).await.into_split();
        let written = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&written);
        let sender = tokio::spawn(async move {
            while count.load(Ordering::Relaxed) < size {
                if writing.write_all(&piece(framing)).await.is_err() {
                    return;
                }
                count.fetch_add(PIECE, Ordering::Relaxed);
            }
        });
        let answer = answer(&mut reading).await;
        let read = written.load(Ordering::Relaxed);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(read < 16 * MIB, "{framing:?}: {read} bytes went before the answer {answer:?}");
        drop(reading);
        assert!(tokio::time::timeout(PATIENCE, sender).await.is_ok(), "the sender goes on");
        assert!(written.load(Ordering::Relaxed) < size / 2, "{written:?} bytes were taken");
    }
    let status: Value = home.admin("/status").await;
    assert_eq!(status["deliveries"]["rejected"], 2);
}

#[tokio::test]
async fn a_sender_that_stalls_is_not_waited_for() {
    let _lane = lane().await;
    let zoho = Zoho::start().await;
    let home = Home::new(&zoho, "5s");
    let _daemon = home.serve().await;
    let began = Instant::now();
    let (mut reading, mut writing) = begin(&home, Framing::Length, 64 * MIB).await.into_split();
    writing.write_all(&piece(Framing::Length)).await.unwrap();
    let answer = answer(&mut reading).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
