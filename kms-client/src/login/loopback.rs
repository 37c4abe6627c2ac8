//! Where the browser comes back to: an HTTP server on 127.0.0.1 that hears one answer (RFC 8252,
//! section 7.3).

use crate::Error;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// A loopback address, of a port that the system chose.
#[derive(Debug)]
pub(super) struct Loopback {
    listener: TcpListener,
    uri: String,
}

/// What the browser brought.
pub(super) enum Answer {
    /// The authorization code.
    Code(Zeroizing<String>),
    /// The provider's word for a refusal (RFC 6749, section 4.1.2.1).
    Error(String),
}

/// What an answer must have beside a code.
struct Expected {
    state: String,
    issuer: String,
    named: bool,
}

const PATH: &str = "/callback";

impl Loopback {
    pub(super) async fn bind() -> Result<Self, Error> {
        let bound = async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let uri = format!("http://{}{PATH}", listener.local_addr()?);
            Ok(Self { listener, uri })
        };
        bound
            .await
            .map_err(|e| Error::file("listen on 127.0.0.1 for the browser", &e))
    }

    /// The redirect URI.
    pub(super) fn uri(&self) -> &str {
        &self.uri
    }

    /// Waits for the answer that has this state. Where the provider `named` itself in its metadata
    /// as one that does, the answer must name it (RFC 9207). Everything else is told off, and the
    /// wait goes on: a stranger's page that sends the browser here changes nothing.
    pub(super) async fn answer(
        &self,
        state: &str,
        issuer: &str,
        named: bool,
    ) -> Result<Answer, Error> {
        let expected = Arc::new(Expected {
            state: state.to_owned(),
            issuer: issuer.to_owned(),
            named,
        });
        let (told, mut heard) = mpsc::channel(1);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(answer) = heard.recv() => return Ok(answer),
            };
            let (stream, _) = accepted.map_err(|e| Error::file("listen for the browser", &e))?;
            // Browsers open connections ahead and leave them idle: each has a task of its own.
            tokio::spawn(hear(stream, Arc::clone(&expected), told.clone()));
        }
    }
}

/// Serves one request; its answer is passed on once the browser has its page.
async fn hear(stream: TcpStream, expected: Arc<Expected>, told: mpsc::Sender<Answer>) {
    let answer = Mutex::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        let (page, found) = judge(&request, &expected);
        *answer.lock().unwrap_or_else(PoisonError::into_inner) = found;
        async move { Ok::<_, Infallible>(page.response()) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // A browser that closes early has no page, and we have its answer all the same.
    drop(served);
    if let Some(answer) = answer.into_inner().unwrap_or_else(PoisonError::into_inner) {
        // A second one finds nobody waiting.
        drop(told.try_send(answer));
    }
}

fn judge<B>(request: &Request<B>, expected: &Expected) -> (Page, Option<Answer>) {
    if request.method() != Method::GET || request.uri().path() != PATH {
        return (Page::Nothing, None);
    }
    let query = request.uri().query().unwrap_or_default();
    let mut parts = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        // RFC 6749, section 3.1: none may come twice.
        if parts
            .insert(name.into_owned(), value.into_owned())
            .is_some()
        {
            return (Page::Foreign, None);
        }
    }
    let issuer = parts.get("iss");
    let ours = parts.get("state") == Some(&expected.state)
        && issuer.is_none_or(|issuer| *issuer == expected.issuer)
        && (issuer.is_some() || !expected.named);
    if !ours {
        return (Page::Foreign, None);
    }
    match (parts.remove("code"), parts.get("error")) {
        (Some(code), None) => (Page::Welcome, Some(Answer::Code(Zeroizing::new(code)))),
        (None, Some(error)) => (Page::Refused, Some(Answer::Error(error_word(error)))),
        (_, _) => (Page::Foreign, None),
    }
}

/// A provider's word as it may be shown: letters and underscores, or none at all.
pub(super) fn error_word(error: &str) -> String {
    let plain = error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if plain && (1..=64).contains(&error.len()) {
        error.to_owned()
    } else {
        "for no reason that could be told".to_owned()
    }
}

/// What the person reads. Fixed texts: nothing of a request is ever shown.
#[derive(Clone, Copy)]
enum Page {
    Welcome,
    Refused,
    Foreign,
    Nothing,
}

impl Page {
    fn response(self) -> Response<String> {
        let (status, text) = match self {
            Page::Welcome => (
                StatusCode::OK,
                "Thank you. kms goes on in its terminal; you may close this page.",
            ),
            Page::Refused => (
                StatusCode::OK,
                "You did not sign in. kms says more in its terminal; you may close this page.",
            ),
            Page::Foreign => (
                StatusCode::BAD_REQUEST,
                "This does not belong to the sign-in that kms began. It was not taken.",
            ),
            Page::Nothing => (StatusCode::NOT_FOUND, "There is nothing here."),
        };
        let mut response = Response::new(format!(
            "<!doctype html><html lang=\"en\"><title>kms</title><p>{text}</p></html>\n"
        ));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        for (name, value) in [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CACHE_CONTROL, "no-store"),
            (CONTENT_SECURITY_POLICY, "default-src 'none'"),
            // The address of this page holds the code.
            (REFERRER_POLICY, "no-referrer"),
        ] {
            headers.insert(name, http::HeaderValue::from_static(value));
        }
        response
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Code(_) => f.write_str("Code"),
            Answer::Error(word) => write!(f, "Error({word})"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn told(target: &str, named: bool) -> (StatusCode, String) {
        let expected = Expected {
            state: "s".to_owned(),
            issuer: "https://id.example".to_owned(),
            named,
        };
        let request = Request::get(target).body(()).unwrap();
        let (page, answer) = judge(&request, &expected);
        let answer = match answer {
            Some(Answer::Code(code)) => format!("code {}", *code),
            Some(Answer::Error(word)) => format!("error {word}"),
            None => String::new(),
        };
        (page.response().status(), answer)
    }

    #[test]
    fn only_an_answer_to_our_question_is_taken() {
        let iss = "iss=https%3A%2F%2Fid.example";
        for (target, named, status, answer) in [
            ("/callback?state=s&code=c%2Fd", false, 200, "code c/d"),
            (
                &format!("/callback?state=s&code=c&{iss}"),
                true,
                200,
                "code c",
            ),
            (
                &format!("/callback?state=s&code=c&{iss}"),
                false,
                200,
                "code c",
            ),
            (
                "/callback?state=s&error=access_denied",
                false,
                200,
                "error access_denied",
            ),
            (
                "/callback?state=s&error=%1b%5b31m",
                false,
                200,
                "error for no reason that could be told",
            ),
            ("/callback?state=s&code=c", true, 400, ""),
            (
                "/callback?state=s&code=c&iss=https%3A%2F%2Fevil.example",
                false,
                400,
                "",
            ),
            ("/callback?state=t&code=c", false, 400, ""),
            ("/callback?code=c", false, 400, ""),
            ("/callback?state=s", false, 400, ""),
            ("/callback?state=s&code=c&code=d", false, 400, ""),
            ("/callback?state=s&code=c&error=e", false, 400, ""),
            ("/callback", false, 400, ""),
            ("/favicon.ico", false, 404, ""),
        ] {
            let (was, told) = told(target, named);
            assert_eq!((was.as_u16(), told.as_str()), (status, answer), "{target}");
        }
        let expected = Expected {
            state: "s".to_owned(),
            issuer: String::new(),
            named: false,
        };
        let posted = Request::post("/callback?state=s&code=c").body(()).unwrap();
        assert!(judge(&posted, &expected).1.is_none());
    }
}
