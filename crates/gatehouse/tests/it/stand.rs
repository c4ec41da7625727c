//! Small servers that a test starts, kills and starts again on the same port.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::support::Backend;

type Answer = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// An HTTP server that answers every head with 200 and a JSON text.
pub(crate) struct Stand {
    pub(crate) port: u16,
    answer: Answer,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stand {
    /// On a free port. `answer` is given the port.
    pub(crate) fn start(answer: impl Fn(u16, &str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let answer: Answer = Arc::new(move |head: &str| answer(port, head));
        let mut stand = Self { port, answer, is_over: Arc::default(), thread: None };
        stand.serve(listener);
        stand
    }

    /// OpenBao with a token, `bao-token`, that does not end, and the key of the simulated backend.
    pub(crate) fn openbao() -> Self {
        Self::start(|_, head| {
            if head.starts_with("GET /v1/auth/token/lookup-self ") {
                return r#"{"data":{"ttl":0,"renewable":false}}"#.to_owned();
            }
            assert!(head.contains("x-vault-token: bao-token"), "{head}");
            format!(
                r#"{{"data":{{"data":{{"value":"{}"}},"metadata":{{"version":1}}}}}}"#,
                Backend::KEY
            )
        })
    }

    /// Nothing listens any more.
    pub(crate) fn kill(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        thread.join().expect("the server ends");
    }

    pub(crate) fn restart(&mut self) {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        self.is_over.store(false, Ordering::SeqCst);
        self.serve(TcpListener::bind(address).expect("the port is free again"));
    }

    fn serve(&mut self, listener: TcpListener) {
        let (answer, is_over) = (self.answer.clone(), self.is_over.clone());
        self.thread = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                converse(stream, &answer);
            }
        }));
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.kill();
    }
}

fn converse(stream: TcpStream, answer: &Answer) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap_or(0) > 0 {}
    let body = answer(&head);
    let mut stream = reader.into_inner();
    // Whoever hung up asks again.
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.read(&mut [0; 16]);
}
