//! The stateful objects of one instance. Another instance knows none of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde_json::Value;

use crate::failure::Failure;

/// What sort of thing an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Assistant,
    Thread,
    Message,
    Run,
    RunStep,
    VectorStore,
    VectorStoreFile,
    VectorStoreBatch,
    File,
    Upload,
    UploadPart,
    Batch,
    FineTune,
    FineTunedModel,
    Response,
    Conversation,
    ConversationItem,
    Completion,
    Container,
    ContainerFile,
    Eval,
    EvalRun,
    EvalOutputItem,
    ImageOperation,
    Video,
    VideoCharacter,
    Skill,
    SkillVersion,
    Voice,
    VoiceConsent,
    ChatSession,
    ChatThread,
    ChatItem,
    RealtimeCall,
    CheckpointPermission,
    CheckpointCopy,
    IngestionJob,
    IngestionRun,
    AssistantFile,
}

impl Kind {
    /// What the id of a new one starts with.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Assistant => "asst_",
            Self::Thread => "thread_",
            Self::Message | Self::ConversationItem => "msg_",
            Self::Run => "run_",
            Self::RunStep => "step_",
            Self::VectorStore => "vs_",
            Self::VectorStoreFile => "vsfile_",
            Self::VectorStoreBatch => "vsfb_",
            Self::File => "file-",
            Self::Upload => "upload_",
            Self::UploadPart => "part_",
            Self::Batch => "batch_",
            Self::FineTune => "ftjob-",
            Self::FineTunedModel => "ft:",
            Self::Response => "resp_",
            Self::Conversation => "conv_",
            Self::Completion => "chatcmpl-",
            Self::Container => "cntr_",
            Self::ContainerFile => "cfile_",
            Self::Eval => "eval_",
            Self::EvalRun => "evalrun_",
            Self::EvalOutputItem => "outputitem_",
            Self::Video => "video_",
            Self::VideoCharacter => "char_",
            Self::Skill => "skill_",
            Self::SkillVersion => "skillver_",
            Self::Voice => "voice_",
            Self::VoiceConsent => "cons_",
            Self::ChatSession => "cksess_",
            Self::ChatThread => "cthr_",
            Self::ChatItem => "cthi_",
            Self::RealtimeCall => "rtc_",
            Self::CheckpointPermission => "cp_",
            Self::ImageOperation
            | Self::CheckpointCopy
            | Self::IngestionJob
            | Self::IngestionRun
            | Self::AssistantFile => "",
        }
    }

    /// The error for an id that is not here.
    pub(crate) fn missing(self, id: &str) -> Failure {
        let found =
            |noun: &str| Failure::not_found(format!("No {noun} found with id '{id}'."), None, None);
        match self {
            Self::Assistant => found("assistant"),
            Self::Thread => found("thread"),
            Self::Message => found("message"),
            Self::Run => found("run"),
            Self::RunStep => found("run step"),
            Self::VectorStore => found("vector store"),
            Self::VectorStoreFile => found("vector store file"),
            Self::VectorStoreBatch => found("vector store file batch"),
            Self::Batch => found("batch"),
            Self::Upload => found("upload"),
            Self::UploadPart => found("upload part"),
            Self::Eval => found("eval"),
            Self::EvalRun => found("eval run"),
            Self::EvalOutputItem => found("eval run output item"),
            Self::Video => found("video"),
            Self::VideoCharacter => found("character"),
            Self::Skill => found("skill"),
            Self::SkillVersion => found("skill version"),
            Self::Voice => found("voice"),
            Self::VoiceConsent => found("voice consent"),
            Self::ChatSession => found("session"),
            Self::ChatThread => found("thread"),
            Self::ChatItem => found("thread item"),
            Self::RealtimeCall => found("call"),
            Self::CheckpointPermission => found("checkpoint permission"),
            Self::CheckpointCopy => found("copy of a checkpoint"),
            Self::IngestionJob => found("ingestion job"),
            Self::IngestionRun => found("ingestion job run"),
            Self::AssistantFile => found("file attached to the assistant"),
            Self::ImageOperation => Failure::resource_not_found(),
            Self::File => Failure::file_not_found(id),
            Self::FineTune => Failure::not_found(
                format!("Could not find fine tune: {id}"),
                Some("fine_tune_id"),
                Some("fine_tune_not_found"),
            ),
            Self::FineTunedModel => Failure::model_not_found(id),
            Self::Response => {
                Failure::not_found(format!("Response with id '{id}' not found."), None, None)
            }
            Self::Conversation => {
                Failure::not_found(format!("Conversation with id '{id}' not found."), None, None)
            }
            Self::ConversationItem => {
                Failure::not_found(format!("Item with id '{id}' not found."), None, None)
            }
            Self::Container => {
                Failure::not_found(format!("Container with id '{id}' not found."), None, None)
            }
            Self::ContainerFile => {
                Failure::not_found(format!("Container file with id '{id}' not found."), None, None)
            }
            Self::Completion => Failure::not_found(
                format!("Completion {id} not found"),
                Some("completion_id"),
                Some("not_found"),
            ),
        }
    }
}

/// One object.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    /// As the API shows it.
    pub(crate) value: Value,
    /// The object it belongs to.
    pub(crate) parent: Option<String>,
    /// What the API does not show.
    pub(crate) hidden: Value,
    /// How often it was asked for: moves jobs on.
    pub(crate) polls: u32,
    /// File content.
    pub(crate) content: Option<Bytes>,
}

impl Object {
    pub(crate) fn new(value: Value) -> Self {
        Self { value, parent: None, hidden: Value::Null, polls: 0, content: None }
    }

    pub(crate) fn under(mut self, parent: &str) -> Self {
        self.parent = Some(parent.to_owned());
        self
    }

    pub(crate) fn hiding(mut self, hidden: Value) -> Self {
        self.hidden = hidden;
        self
    }

    pub(crate) fn holding(mut self, content: Option<Bytes>) -> Self {
        self.content = content;
        self
    }
}

#[derive(Default)]
struct Shelf {
    places: HashMap<String, u64>,
    objects: BTreeMap<u64, (String, Object)>,
}

/// Every object, each kind bounded: the oldest gives way.
pub(crate) struct Store {
    per_kind_max: usize,
    content_bytes_max: u64,
    next_place: AtomicU64,
    shelves: Mutex<HashMap<Kind, Shelf>>,
    content_bytes: AtomicU64,
}

impl Store {
    pub(crate) fn new(per_kind_max: usize, content_bytes_max: u64) -> Self {
        Self {
            per_kind_max: per_kind_max.max(1),
            content_bytes_max,
            next_place: AtomicU64::new(0),
            shelves: Mutex::new(HashMap::new()),
            content_bytes: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Kind, Shelf>> {
        self.shelves.lock().expect("no holder of this lock panics")
    }

    /// Keeps an object; its content only while there is room for it.
    pub(crate) fn put(&self, kind: Kind, id: &str, mut object: Object) {
        let mut shelves = self.lock();
        let shelf = shelves.entry(kind).or_default();
        if let Some((_, old)) =
            shelf.places.remove(id).and_then(|place| shelf.objects.remove(&place))
        {
            self.release(&old);
        }
        while shelf.objects.len() >= self.per_kind_max {
            let Some((_, (old_id, old))) = shelf.objects.pop_first() else { break };
            shelf.places.remove(&old_id);
            self.release(&old);
        }
        let size = object.content.as_ref().map_or(0, |content| content.len() as u64);
        if self.content_bytes.load(Ordering::Relaxed) + size > self.content_bytes_max {
            object.content = None;
        } else {
            self.content_bytes.fetch_add(size, Ordering::Relaxed);
        }
        let place = self.next_place.fetch_add(1, Ordering::Relaxed);
        shelf.places.insert(id.to_owned(), place);
        shelf.objects.insert(place, (id.to_owned(), object));
    }

    fn release(&self, object: &Object) {
        let size = object.content.as_ref().map_or(0, |content| content.len() as u64);
        self.content_bytes.fetch_sub(size, Ordering::Relaxed);
    }

    /// Looks at an object or changes it.
    pub(crate) fn with<R>(
        &self,
        kind: Kind,
        id: &str,
        act: impl FnOnce(&mut Object) -> R,
    ) -> Result<R, Failure> {
        let mut shelves = self.lock();
        let object = shelves.get_mut(&kind).and_then(|shelf| {
            let place = shelf.places.get(id)?;
            shelf.objects.get_mut(place)
        });
        object.map(|(_, object)| act(object)).ok_or_else(|| kind.missing(id))
    }

    pub(crate) fn get(&self, kind: Kind, id: &str) -> Result<Object, Failure> {
        self.with(kind, id, |object| object.clone())
    }

    /// An object that must belong to another.
    pub(crate) fn get_under(&self, kind: Kind, parent: &str, id: &str) -> Result<Object, Failure> {
        let object = self.get(kind, id)?;
        if object.parent.as_deref() == Some(parent) { Ok(object) } else { Err(kind.missing(id)) }
    }

    pub(crate) fn remove(&self, kind: Kind, id: &str) -> Result<Object, Failure> {
        let mut shelves = self.lock();
        let removed = shelves.get_mut(&kind).and_then(|shelf| {
            let place = shelf.places.remove(id)?;
            shelf.objects.remove(&place)
        });
        let (_, object) = removed.ok_or_else(|| kind.missing(id))?;
        self.release(&object);
        Ok(object)
    }

    /// Objects of a kind (under a parent), oldest first.
    pub(crate) fn list(&self, kind: Kind, parent: Option<&str>) -> Vec<Object> {
        let shelves = self.lock();
        let Some(shelf) = shelves.get(&kind) else { return Vec::new() };
        let objects = shelf.objects.values().map(|(_, object)| object);
        objects
            .filter(|object| parent.is_none() || object.parent.as_deref() == parent)
            .cloned()
            .collect()
    }

    /// How many objects there are.
    pub(crate) fn count(&self) -> usize {
        self.lock().values().map(|shelf| shelf.objects.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_oldest_gives_way_and_content_is_bounded() {
        let store = Store::new(2, 10);
        for id in ["a", "b", "c"] {
            store.put(
                Kind::File,
                id,
                Object::new(json!({"id": id})).holding(Some(Bytes::from_static(b"12345"))),
            );
        }
        assert!(store.get(Kind::File, "a").is_err());
        assert!(store.get(Kind::File, "c").unwrap().content.is_some());
        store.put(
            Kind::Upload,
            "d",
            Object::new(json!({})).holding(Some(Bytes::from_static(b"1"))),
        );
        assert!(store.get(Kind::Upload, "d").unwrap().content.is_none());
        store.remove(Kind::File, "b").unwrap();
        store.put(
            Kind::Upload,
            "d",
            Object::new(json!({})).holding(Some(Bytes::from_static(b"1"))),
        );
        assert!(store.get(Kind::Upload, "d").unwrap().content.is_some());
        assert_eq!(store.count(), 2);
    }
}
