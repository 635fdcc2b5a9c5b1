//! The accept loop behind both listeners: what `axum::serve` does, with limits on what a stranger
//! may make us hold, and an end.
//!
//! Deliberately absent: limits on bodies and on how long they take, which belong to the handlers
//! that read them, and TLS, which belongs to the proxy in front.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::config::Listen;

/// Most header fields of a request; more get 431. Zoho sends about a dozen, a proxy adds a few.
const HEADERS_MAX: usize = 64;

/// Room for request line and headers, bytes; more gets 431. Also the read buffer of a connection,
/// so that all connections together hold at most 32 MiB.
const HEADER_BYTES_MAX: usize = 32 * 1024;

/// How long a connection may take to bring its next request's headers. It bounds idle keep-alive
/// as well as a sender that dribbles; a proxy opens another connection.
const HEADER_TIME_MAX: Duration = Duration::from_secs(10);

/// Most connections at once. Further ones wait in the kernel's backlog, where they cost nothing.
const CONNECTIONS_MAX: usize = 1024;

/// Pause after an `accept` that failed for want of a resource (`EMFILE`), which would fail again
/// at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Owner and group may connect to a Unix socket: the daemon's group is who administers it.
const SOCKET_MODE: u32 = 0o660;

/// A listener that is bound, so that the address is known before anything is served.
#[derive(Debug)]
pub enum Bound {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// Binds the configured address. A Unix socket file that nobody answers on, left by a process that
/// died, is replaced; it is not removed at the end, when a successor may already own it.
///
/// # Errors
/// The operating system's; `AddrInUse` when somebody answers on the Unix socket, or when the path
/// holds something else than a socket.
pub async fn bind(listen: &Listen) -> io::Result<Bound> {
    match listen {
        Listen::Tcp(address) => Ok(Bound::Tcp(TcpListener::bind(address).await?)),
        Listen::Unix(path) => {
            remove_stale(path).await?;
            let listener = UnixListener::bind(path)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
            Ok(Bound::Unix(listener))
        }
    }
}

async fn remove_stale(path: &Path) -> io::Result<()> {
    let taken =
        |what: &str| io::Error::new(io::ErrorKind::AddrInUse, format!("{} {what}", path.display()));
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => return Err(taken("is not a socket")),
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(taken("is served by another process")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Err(error) => Err(error),
    }
}

/// The address in the form that the configuration uses, with the port that was really bound:
/// `127.0.0.1:8080` or `unix:/run/cliqbridge/admin.sock`.
pub fn local(bound: &Bound) -> String {
    match bound {
        Bound::Tcp(listener) => {
            listener.local_addr().map_or_else(|_| "tcp".to_owned(), |at: SocketAddr| at.to_string())
        }
        Bound::Unix(listener) => listener
            .local_addr()
            .ok()
            .and_then(|at| at.as_pathname().map(|path| format!("unix:{}", path.display())))
            .unwrap_or_else(|| "unix".to_owned()),
    }
}

/// Serves until `stop`; then accepts no more, closes idle connections and finishes the requests in
/// flight, for at most `drain`. Whatever is still open after that is cut.
pub async fn serve(bound: Bound, router: Router, stop: CancellationToken, drain: Duration) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            accepted = accept(&bound), if connections.len() < CONNECTIONS_MAX => accepted,
        };
        match stream {
            Ok(Stream::Tcp(io, address)) => {
                let peer = Peer(Some(address));
                connections.spawn(converse(io, peer, router.clone(), graceful.watcher()));
            }
            Ok(Stream::Unix(io)) => {
                connections.spawn(converse(io, Peer(None), router.clone(), graceful.watcher()));
            }
            // The peer went away between its knock and our answer.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                let _ = tokio::time::timeout(ACCEPT_PAUSE, stop.cancelled()).await;
            }
        }
    }
    drop(bound);
    if tokio::time::timeout(drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(open = connections.len(), "cut connections that did not end in time");
    }
    // Dropping the set ends what is left.
}

/// Who is at the other end of a connection, as an extension of each request: the address of a TCP
/// peer, which may be a proxy; `None` behind a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer(pub(super) Option<IpAddr>);

/// A connection that was accepted.
enum Stream {
    Tcp(tokio::net::TcpStream, IpAddr),
    Unix(UnixStream),
}

async fn accept(bound: &Bound) -> io::Result<Stream> {
    match bound {
        Bound::Tcp(listener) => {
            let (stream, address) = listener.accept().await?;
            // Answers are small and written at once; waiting to fill a packet only delays them.
            let _ = stream.set_nodelay(true);
            Ok(Stream::Tcp(stream, address.ip()))
        }
        Bound::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
    }
}

/// One connection, to its end.
fn converse<S>(
    stream: S,
    peer: Peer,
    router: Router,
    end: Watcher,
) -> impl Future<Output = ()> + Send
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request.map(Body::new)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .max_headers(HEADERS_MAX)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .header_read_timeout(HEADER_TIME_MAX)
        .keep_alive(true)
        // A sender may close its side when it has written all; it still waits for the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let watched = end.watch(connection);
    async move {
        if let Err(error) = watched.await {
            // Peers hang up and send nonsense all day; that is worth no more than this.
            tracing::debug!(%error, "a connection ended badly");
        }
    }
}

/// A handler that panicked has lost its connection and nothing else, but must not go unseen.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a request handler panicked");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpStream, UnixStream};
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;
    use tokio_util::sync::CancellationToken;

    use super::{Bound, bind, local, serve};
    use crate::config::Listen;

    /// Far longer than any of these tests takes.
    const LONG: Duration = Duration::from_mins(1);

    struct Door {
        address: String,
        stop: CancellationToken,
        served: JoinHandle<()>,
        entered: Arc<Notify>,
        release: Arc<Notify>,
    }

    /// A listener with `/` that answers and `/slow` that says when it was entered and waits.
    async fn open(drain: Duration) -> Door {
        let bound = bind(&Listen::Tcp("127.0.0.1:0".parse().unwrap())).await.unwrap();
        let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (inside, wait) = (entered.clone(), release.clone());
        let slow = move || async move {
            inside.notify_one();
            wait.notified().await;
            "slow"
        };
        let router = Router::new().route("/", get(async || "fast")).route("/slow", get(slow));
        let (address, stop) = (local(&bound), CancellationToken::new());
        let served = tokio::spawn(serve(bound, router, stop.clone(), drain));
        Door { address, stop, served, entered, release }
    }

    async fn ask(stream: &mut TcpStream, path: &str, more: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
    }

    /// Reads until `end` has come.
    async fn read_to(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
        let mut got = Vec::new();
        while !got.ends_with(end.as_bytes()) {
            got.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(got).unwrap()
    }

    #[tokio::test]
    async fn too_many_or_too_large_headers_get_431() {
        let door = open(LONG).await;
        let many = "X-A: 1\r\n".repeat(70);
        let large = format!("X-A: {}\r\n", "a".repeat(40_000));
        for more in [many, large] {
            let mut stream = TcpStream::connect(&door.address).await.unwrap();
            ask(&mut stream, "/", &more).await;
            let answer = read_to(&mut stream, "\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        }
        let mut stream = TcpStream::connect(&door.address).await.unwrap();
        ask(&mut stream, "/", &"X-A: 1\r\n".repeat(60)).await;
        assert!(read_to(&mut stream, "fast").await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn a_stop_finishes_the_request_in_flight_and_closes_idle_connections() {
        let door = open(LONG).await;
        let mut idle = TcpStream::connect(&door.address).await.unwrap();
        ask(&mut idle, "/", "").await;
        read_to(&mut idle, "fast").await;
        let mut busy = TcpStream::connect(&door.address).await.unwrap();
        ask(&mut busy, "/slow", "").await;
        door.entered.notified().await;

        door.stop.cancel();
        let mut rest = Vec::new();
        idle.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"", "closed without another word");
        assert!(TcpStream::connect(&door.address).await.is_err(), "no longer listening");
        assert!(!door.served.is_finished());

        door.release.notify_one();
        let mut answer = String::new();
        busy.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("slow"), "{answer}");
        door.served.await.unwrap();
    }

    #[tokio::test]
    async fn a_request_that_does_not_end_is_cut_after_the_drain() {
        let door = open(Duration::ZERO).await;
        let mut busy = TcpStream::connect(&door.address).await.unwrap();
        ask(&mut busy, "/slow", "").await;
        door.entered.notified().await;
        door.stop.cancel();
        door.served.await.unwrap();
        let mut rest = Vec::new();
        let _ = busy.read_to_end(&mut rest).await;
        assert_eq!(rest, b"");
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let listen = Listen::Unix(path.clone());
        let first = bind(&listen).await.unwrap();
        assert_eq!(local(&first), format!("unix:{}", path.display()));
        let in_use = bind(&listen).await.unwrap_err();
        assert_eq!(in_use.kind(), std::io::ErrorKind::AddrInUse);
        drop(first);
        let second = bind(&listen).await.unwrap();
        assert!(matches!(second, Bound::Unix(_)));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);

        let router = Router::new().route("/", get(async || "fast"));
        let served = tokio::spawn(serve(second, router, CancellationToken::new(), LONG));
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert!(read_to(&mut stream, "fast").await.starts_with("HTTP/1.1 200 "));
        served.abort();

        let file = folder.path().join("file");
        std::fs::write(&file, "kept").unwrap();
        assert!(bind(&Listen::Unix(file.clone())).await.is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
    }
}
