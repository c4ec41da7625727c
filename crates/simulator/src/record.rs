//! What the simulator remembers of each request, for tests to look at.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Method, Version};
use sha2::{Digest, Sha256};

/// First bytes of a body that are kept as they came.
const BODY_BYTES_KEPT: usize = 64 * 1024;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct ReceivedRequest {
    /// Counts requests of this instance from 0, in the order in which their heads came.
    pub sequence: u64,
    /// Method.
    pub method: Method,
    /// Path and query as sent.
    pub target: String,
    /// HTTP version of the connection.
    pub version: Version,
    /// Every header, in order for each name.
    pub headers: HeaderMap,
    /// Body length.
    pub body_bytes: u64,
    /// SHA-256 of the whole body.
    pub body_sha256: [u8; 32],
    /// The first 64 KiB of the body.
    pub body_start: Bytes,
    /// Whether the body came to its end.
    pub complete: bool,
}

/// Adds up a body while it passes.
pub(crate) struct Tally {
    pub(crate) bytes: u64,
    hasher: Option<Sha256>,
    start: Vec<u8>,
}

impl Tally {
    pub(crate) fn new(hashing: bool) -> Self {
        Self { bytes: 0, hasher: hashing.then(Sha256::new), start: Vec::new() }
    }

    pub(crate) fn add(&mut self, data: &[u8]) {
        self.bytes += data.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(data);
            let room = BODY_BYTES_KEPT - self.start.len();
            self.start.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
}

/// The last requests, bounded.
pub(crate) struct Journal {
    kept_max: usize,
    next: AtomicU64,
    list: Mutex<VecDeque<ReceivedRequest>>,
}

impl Journal {
    pub(crate) fn new(kept_max: usize) -> Self {
        Self { kept_max, next: AtomicU64::new(0), list: Mutex::new(VecDeque::new()) }
    }

    pub(crate) fn begin(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn count(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    pub(crate) fn tally(&self) -> Tally {
        Tally::new(self.kept_max > 0)
    }

    pub(crate) fn keep(
        &self,
        sequence: u64,
        head: &http::request::Parts,
        tally: Tally,
        complete: bool,
    ) {
        let Some(hasher) = tally.hasher else { return };
        let request = ReceivedRequest {
            sequence,
            method: head.method.clone(),
            target: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
            version: head.version,
            headers: head.headers.clone(),
            body_bytes: tally.bytes,
            body_sha256: hasher.finalize().into(),
            body_start: Bytes::from(tally.start),
            complete,
        };
        let mut list = self.list.lock().expect("no holder of this lock panics");
        if list.len() >= self.kept_max {
            list.pop_front();
        }
        list.push_back(request);
    }

    /// In the order in which the heads came.
    pub(crate) fn list(&self) -> Vec<ReceivedRequest> {
        let mut list: Vec<_> =
            self.list.lock().expect("no holder of this lock panics").iter().cloned().collect();
        list.sort_by_key(|request| request.sequence);
        list
    }
}
