//! A tiny scripted HTTP server: remembers what it was asked, answers what the test says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use futures_util::stream;
use http::HeaderMap;
use serde_json::Value;
use tokio::net::TcpListener;
use url::Url;

/// One request as it came.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn q(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }
}

/// One answer.
#[derive(Clone)]
pub(super) struct Canned {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    cut: bool,
}

pub(super) fn json(body: &Value) -> Canned {
    status(200, &body.to_string()).header("content-type", "application/json")
}

pub(super) fn status(status: u16, body: &str) -> Canned {
    Canned { status, headers: Vec::new(), body: body.to_owned(), cut: false }
}

impl Canned {
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The connection breaks after the body's first half.
    pub(super) fn cut(mut self) -> Self {
        self.cut = true;
        self
    }

    fn response(self) -> Response {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        let body = if self.cut {
            let half = Bytes::from(self.body[..self.body.len() / 2].to_owned());
            let broken = Err(std::io::Error::other("cut"));
            Body::from_stream(stream::iter([Ok(half), broken]))
        } else {
            Body::from(self.body)
        };
        response.body(body).unwrap()
    }
}

/// The running server.
pub(super) struct Fake {
    pub(super) url: Url,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    /// Serves on a free loopback port until the test's runtime ends.
    pub(super) async fn start(
        script: impl Fn(&Seen) -> Canned + Clone + Send + Sync + 'static,
    ) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let journal = seen.clone();
        let app = Router::new().fallback(move |request: Request| {
            let (script, journal) = (script.clone(), journal.clone());
            async move {
                let request = read(request).await;
                let answer = script(&request);
                journal.lock().unwrap().push(request);
                answer.response()
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, seen }
    }

    /// A server that answers from a list, in order; after its end, 418.
    pub(super) async fn list(answers: Vec<Canned>) -> Self {
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        Self::start(move |_| answers.lock().unwrap().next().unwrap_or_else(|| status(418, "")))
            .await
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn calls(&self, path: &str) -> usize {
        self.seen().iter().filter(|seen| seen.path == path).count()
    }
}

async fn read(request: Request) -> Seen {
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default();
    let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Seen {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query,
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}
