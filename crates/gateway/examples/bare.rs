//! A proxy before one backend that records, checks and changes nothing: what the HTTP library and the runtime cost by
//! themselves. `bare http://127.0.0.1:9000 127.0.0.1:9001`: backend, own address.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Connections to the backend at rest.
type Idle = Mutex<Vec<SendRequest<Incoming>>>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let backend = arguments.next().ok_or("the URL of a backend is missing")?;
    let backend: Arc<str> = backend.trim_start_matches("http://").into();
    let address = arguments.next().ok_or("the address to listen on is missing")?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(serve(backend, &address))
}

async fn serve(backend: Arc<str>, address: &str) -> Result<(), Failure> {
    let listener = TcpListener::bind(address).await?;
    let idle = Arc::new(Idle::default());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (backend, idle) = (backend.clone(), idle.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| pass(request, &backend, &idle));
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
        });
    }
}

async fn pass(
    mut request: Request<Incoming>,
    backend: &str,
    idle: &Idle,
) -> Result<Response<Incoming>, Failure> {
    let rested = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut sender = match rested {
        Some(sender) => sender,
        None => connect(backend).await?,
    };
    request.headers_mut().remove(header::CONNECTION);
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    idle.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
    Ok(answer)
}

async fn connect(backend: &str) -> Result<SendRequest<Incoming>, Failure> {
    let stream = TcpStream::connect(backend).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
