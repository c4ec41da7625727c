//! The ids of objects that an answer tells, found as it passes.

use super::json::JsonScanner;
use crate::{SseEvent, SseParser};

/// Longest event of a stream looked into.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// Where in an answer an id stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdPlace {
    /// It is that of the object answered.
    Own,
    /// It is that of the thread the object belongs to.
    Thread,
    /// Under a name that tells an object which stands alone, such as `file_id`.
    Named,
    /// It is that of something inside the object.
    Inside,
}

/// Looks for ids in one answer, a JSON body or a stream of events. Pieces of text that stream by
/// (events named `….delta`) are passed over.
#[derive(Debug)]
pub struct IdFinder {
    scan: Scan,
    found: Vec<(IdPlace, String)>,
}

#[derive(Debug)]
enum Scan {
    Json { scanner: Box<JsonScanner>, taken: Taken },
    Events(Box<SseParser>),
    Other,
}

/// How much of what a scanner has found was taken over.
#[derive(Debug, Default)]
struct Taken {
    own: bool,
    thread: bool,
    references: usize,
    items: usize,
}

impl IdFinder {
    /// For an answer of this content type.
    pub fn new(content_type: Option<&str>) -> Self {
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let scan = if essence.eq_ignore_ascii_case("text/event-stream") {
            Scan::Events(Box::new(SseParser::with_limit(EVENT_BYTES_MAX)))
        } else if essence.to_ascii_lowercase().ends_with("json") {
            let scanner = Box::new(JsonScanner::of_answer());
            Scan::Json { scanner, taken: Taken::default() }
        } else {
            Scan::Other
        };
        Self { scan, found: Vec::new() }
    }

    /// Takes the next bytes of the answer.
    pub fn push(&mut self, bytes: &[u8]) {
        match &mut self.scan {
            Scan::Json { scanner, taken } => {
                scanner.push(bytes);
                taken.take(scanner, &mut self.found);
            }
            Scan::Events(parser) => {
                let found = &mut self.found;
                parser.push(bytes, |event| look(event, found));
            }
            Scan::Other => {}
        }
    }

    /// Ids found since the last time, in their order.
    pub fn take(&mut self) -> Vec<(IdPlace, String)> {
        std::mem::take(&mut self.found)
    }
}

impl Taken {
    fn take(&mut self, scanner: &JsonScanner, found: &mut Vec<(IdPlace, String)>) {
        let (told, peek) = (&scanner.told, &scanner.peek);
        if let (false, Some(id)) = (self.own, &told.id) {
            self.own = true;
            found.push((IdPlace::Own, id.clone()));
        }
        if let (false, Some(id)) = (self.thread, &told.thread_id) {
            self.thread = true;
            found.push((IdPlace::Thread, id.clone()));
        }
        for id in &peek.references[self.references..] {
            found.push((IdPlace::Named, id.clone()));
        }
        for id in &told.items[self.items..] {
            found.push((IdPlace::Inside, id.clone()));
        }
        (self.references, self.items) = (peek.references.len(), told.items.len());
    }
}

fn look(event: SseEvent<'_>, found: &mut Vec<(IdPlace, String)>) {
    if event.name.ends_with(b".delta") || memchr::memmem::find(event.data, b"id\"").is_none() {
        return;
    }
    let mut scanner = JsonScanner::of_answer();
    scanner.push(event.data);
    Taken::default().take(&scanner, found);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(content_type: &str, body: &[u8], size: usize) -> Vec<(IdPlace, String)> {
        let mut finder = IdFinder::new(Some(content_type));
        body.chunks(size).for_each(|piece| finder.push(piece));
        finder.take()
    }

    #[test]
    fn an_answer_tells_ids_wherever_they_stand() {
        let body = br#"{"object":"batch","id":"batch_1","input_file_id":"file-1","output_file_id":"file-2",
            "error_file_id":null,"metadata":{"file_id":"file-no"},"thread_id":"thread_1",
            "fine_tuned_model":"ft:gpt-4o:org::x","result_files":["file-3"],
            "output":[{"id":"msg_1","type":"message","content":[]},{"id":"call_1","type":"x"},
            {"type":"code_interpreter_call","id":"ci_1","container_id":"cntr_1"}]}"#;
        for size in [1, 9, 4096] {
            let mut found = ids("application/json; charset=utf-8", body, size);
            found.sort_by(|a, b| a.1.cmp(&b.1));
            let want = [
                (IdPlace::Own, "batch_1"),
                (IdPlace::Inside, "ci_1"),
                (IdPlace::Named, "cntr_1"),
                (IdPlace::Named, "file-2"),
                (IdPlace::Named, "file-3"),
                (IdPlace::Named, "ft:gpt-4o:org::x"),
                (IdPlace::Inside, "msg_1"),
                (IdPlace::Thread, "thread_1"),
            ];
            let found: Vec<_> = found.iter().map(|(place, id)| (*place, id.as_str())).collect();
            assert_eq!(found, want);
        }
        assert_eq!(ids("audio/mpeg", br#"{"id":"file-1"}"#, 4), []);
    }

    #[test]
    fn streams_tell_ids_with_the_event_that_brings_them() {
        let mut finder = IdFinder::new(Some("text/event-stream"));
        finder.push(b"event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"output\":[]}}\n\n");
        assert_eq!(finder.take(), [(IdPlace::Named, "resp_1".to_owned())]);
        finder.push(
            b"event: response.output_text.delta\ndata: {\"item_id\":\"msg_1\",\"id\":\"no_1\"}\n\n",
        );
        assert_eq!(finder.take(), []);
        finder.push(b"event: response.output_item.added\ndata: {\"item\":{\"id\":\"msg_1\",");
        assert_eq!(finder.take(), []);
        finder.push(b"\"type\":\"message\"}}\n\n");
        assert_eq!(finder.take(), [(IdPlace::Inside, "msg_1".to_owned())]);
        let run = b"event: thread.run.created\ndata: {\"id\":\"run_1\",\"object\":\"thread.run\",\"thread_id\":\"thread_1\"}\n\n";
        let want = [(IdPlace::Own, "run_1".to_owned()), (IdPlace::Thread, "thread_1".to_owned())];
        assert_eq!(ids("text/event-stream", run, 5), want);
    }
}
