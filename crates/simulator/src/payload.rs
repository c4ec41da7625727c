//! Reading a request's body: JSON up to a limit, forms part by part, anything else only counted.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::record::Tally;

/// Longest text field of a form.
const FIELD_BYTES_MAX: usize = 1 << 20;
/// Most parts of a form.
const FIELDS_MAX: usize = 256;

/// What a request carries.
#[derive(Debug, Clone, Default)]
pub(crate) enum Payload {
    /// Nothing, or something no operation reads.
    #[default]
    Empty,
    /// A JSON text.
    Json(Value),
    /// A form.
    Form(Form),
    /// An offer of SDP.
    Text(String),
}

/// The parts of `multipart/form-data`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form {
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) files: Vec<FormFile>,
}

impl Form {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn file(&self, name: &str) -> Option<&FormFile> {
        self.files
            .iter()
            .find(|file| file.field == name || file.field.strip_suffix("[]") == Some(name))
    }
}

/// A file inside a form.
#[derive(Debug, Clone)]
pub(crate) struct FormFile {
    pub(crate) field: String,
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// Absent when it was too long to keep.
    pub(crate) content: Option<Bytes>,
}

/// How much of a body may be kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) json_bytes_max: u64,
    pub(crate) file_bytes_kept_max: u64,
}

/// The body read, what to say if it is unsound, and whether it came to its end.
pub(crate) struct Read {
    pub(crate) payload: Result<Payload, Failure>,
    pub(crate) tally: Tally,
    pub(crate) complete: bool,
    /// A filter trigger stands somewhere in the body.
    pub(crate) triggers: bool,
}

/// Reads a body to its end.
pub(crate) async fn read(content_type: &str, body: Incoming, tally: Tally, room: Room) -> Read {
    match multer::parse_boundary(content_type) {
        Ok(boundary) => read_form(boundary, body, tally, room).await,
        Err(_) => {
            let is_text = content_type.starts_with("application/sdp");
            read_whole(is_text, body, tally, room).await
        }
    }
}

async fn read_whole(is_text: bool, mut body: Incoming, mut tally: Tally, room: Room) -> Read {
    let mut kept = Vec::new();
    let mut complete = true;
    let expected = body.size_hint().exact().unwrap_or(0).min(1 << 20);
    kept.reserve_exact(usize::try_from(expected).unwrap_or(0));
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            complete = false;
            break;
        };
        let Some(data) = frame.data_ref() else { continue };
        tally.add(data);
        if tally.bytes <= room.json_bytes_max {
            kept.extend_from_slice(data);
        }
    }
    let triggers = memchr::memmem::find(&kept, b"SIM-").is_some();
    let payload = if tally.bytes > room.json_bytes_max {
        Err(Failure::too_large(room.json_bytes_max))
    } else if kept.is_empty() {
        Ok(Payload::Empty)
    } else if is_text {
        Ok(Payload::Text(String::from_utf8_lossy(&kept).into_owned()))
    } else {
        serde_json::from_slice(&kept).map(Payload::Json).map_err(|_| {
            Failure::bad_request(
                "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The API expects a JSON payload, but what was sent was not valid JSON.)",
            )
        })
    };
    Read { payload, tally, complete, triggers }
}

async fn read_form(boundary: String, body: Incoming, tally: Tally, room: Room) -> Read {
    let shared = Arc::new(Mutex::new(Passing { body, tally, ended: false, complete: true }));
    let mut multipart = multer::Multipart::new(Counted { shared: Arc::clone(&shared) }, boundary);
    let parsed = read_parts(&mut multipart, room).await;
    drop(multipart);
    // What is left after an error or the last boundary is read too, so that the hash covers everything.
    let mut rest = Counted { shared };
    while let Some(Ok(_)) = rest.next().await {}
    let passing = Arc::into_inner(rest.shared).expect("the form that shared it was dropped");
    let passing = passing.into_inner().expect("no holder of this lock panics");
    let payload = parsed
        .map(Payload::Form)
        .map_err(|error| Failure::bad_request(format!("Could not parse multipart form: {error}")));
    Read { payload, tally: passing.tally, complete: passing.complete, triggers: false }
}

async fn read_parts(
    multipart: &mut multer::Multipart<'_>,
    room: Room,
) -> Result<Form, multer::Error> {
    let mut form = Form::default();
    while let Some(mut field) = multipart.next_field().await? {
        if form.fields.len() + form.files.len() >= FIELDS_MAX {
            return Err(multer::Error::FieldSizeExceeded {
                limit: FIELDS_MAX as u64,
                field_name: None,
            });
        }
        let name = field.name().unwrap_or_default().to_owned();
        if let Some(file_name) = field.file_name().map(str::to_owned) {
            let file = read_file(name, file_name, &mut field, room).await?;
            form.files.push(file);
            continue;
        }
        let mut text = Vec::new();
        while let Some(chunk) = field.chunk().await? {
            if text.len() + chunk.len() > FIELD_BYTES_MAX {
                return Err(multer::Error::FieldSizeExceeded {
                    limit: FIELD_BYTES_MAX as u64,
                    field_name: Some(name),
                });
            }
            text.extend_from_slice(&chunk);
        }
        form.fields.push((name, String::from_utf8_lossy(&text).into_owned()));
    }
    Ok(form)
}

async fn read_file(
    field: String,
    name: String,
    part: &mut multer::Field<'_>,
    room: Room,
) -> Result<FormFile, multer::Error> {
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    let mut content = Some(Vec::new());
    while let Some(chunk) = part.chunk().await? {
        hasher.update(&chunk);
        bytes += chunk.len() as u64;
        if bytes > room.file_bytes_kept_max {
            content = None;
        }
        if let Some(content) = &mut content {
            content.extend_from_slice(&chunk);
        }
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(FormFile { field, name, bytes, sha256, content: content.map(Bytes::from) })
}

struct Passing {
    body: Incoming,
    tally: Tally,
    ended: bool,
    complete: bool,
}

/// A body that is counted while a form is read from it.
struct Counted {
    shared: Arc<Mutex<Passing>>,
}

impl Stream for Counted {
    type Item = Result<Bytes, io::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut passing = self.shared.lock().expect("no holder of this lock panics");
        loop {
            if passing.ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut passing.body).poll_frame(context)) {
                None => passing.ended = true,
                Some(Err(error)) => {
                    passing.ended = true;
                    passing.complete = false;
                    return Poll::Ready(Some(Err(io::Error::other(error))));
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        passing.tally.add(&data);
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
            }
        }
    }
}
