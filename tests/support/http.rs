//! A real HTTP server on loopback, for real transfers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Status, headers and body of an answer.
pub type Answer = (u16, Vec<(String, String)>, Vec<u8>);

/// How much of a request is read, and how long a client may take to send it.
const REQUEST_BYTES_MAX: u64 = 64 * 1024;
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);

/// A server on a free port of 127.0.0.1 that ends when it is dropped.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    requests: AtomicUsize,
    heard: Mutex<Vec<(String, String)>>,
    ending: AtomicBool,
}

impl HttpServer {
    /// Starts one. The handler gets the number of the request, from 1, and its first line (`GET / HTTP/1.1`).
    pub fn start(handler: impl Fn(usize, &str) -> Answer + Send + Sync + 'static) -> HttpServer {
        let socket = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let address = socket.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let listener = thread::spawn(move || listen(&socket, &seen, &Arc::new(handler)));
        HttpServer {
            address,
            shared,
            listener: Some(listener),
        }
    }

    /// Its address: `http://127.0.0.1:PORT/`.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// How many requests have come until now.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// The requests that have come until now: the first line of each, and its body.
    pub fn heard(&self) -> Vec<(String, String)> {
        let heard = self.shared.heard.lock();
        heard.expect("nobody panics while holding it").clone()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        // Wakes the listener; if nobody listens, it is awake already.
        TcpStream::connect(self.address).ok();
        if let Some(listener) = self.listener.take() {
            listener.join().ok();
        }
    }
}

fn listen<H>(socket: &TcpListener, shared: &Arc<Shared>, handler: &Arc<H>)
where
    H: Fn(usize, &str) -> Answer + Send + Sync + 'static,
{
    for connection in socket.incoming() {
        if shared.ending.load(Ordering::SeqCst) {
            return;
        }
        let Ok(connection) = connection else { continue };
        let (shared, handler) = (Arc::clone(shared), Arc::clone(handler));
        // A client that goes away in the middle is what some tests want.
        thread::spawn(move || serve(&connection, &shared, handler.as_ref()).ok());
    }
}

fn serve(
    mut connection: &TcpStream,
    shared: &Shared,
    handler: &impl Fn(usize, &str) -> Answer,
) -> std::io::Result<()> {
    connection.set_read_timeout(Some(REQUEST_TIME_MAX))?;
    let mut reader = BufReader::new(connection.take(REQUEST_BYTES_MAX));
    let mut head = reader.by_ref().lines();
    let Some(request_line) = head.next().transpose()? else {
        return Ok(());
    };
    let mut length = 0;
    for line in head {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = String::new();
    reader.take(length).read_to_string(&mut body)?;
    {
        let mut heard = shared.heard.lock().expect("nobody panics while holding it");
        heard.push((request_line.clone(), body));
    }
    let number = shared.requests.fetch_add(1, Ordering::SeqCst) + 1;
    let (status, headers, body) = handler(number, &request_line);
    let mut answer = format!(
        "HTTP/1.1 {status} Answer\r\nContent-Length: {}\r\nConnection: close\r\n",
        body.len()
    );
    for (name, value) in headers {
        answer += &format!("{name}: {value}\r\n");
    }
    connection.write_all(format!("{answer}\r\n").as_bytes())?;
    connection.write_all(&body)
}
