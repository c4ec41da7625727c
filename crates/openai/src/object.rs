//! What operations do with the objects that a backend keeps: files, threads, responses and their like.

use crate::kind::named;

named! {
    /// A sort of object that a backend keeps and gives an id.
    ObjectKind {
        /// A file.
        File => "file",
        /// An upload in parts.
        Upload => "upload",
        /// A batch.
        Batch => "batch",
        /// A fine-tuning job.
        FineTuningJob => "fine-tuning-job",
        /// A model that a fine-tuning job made, or a deployment of one; its id is its name.
        FineTunedModel => "fine-tuned-model",
        /// An assistant.
        Assistant => "assistant",
        /// A thread.
        Thread => "thread",
        /// A message of a thread.
        Message => "message",
        /// A run of a thread.
        Run => "run",
        /// A vector store.
        VectorStore => "vector-store",
        /// Files put into a vector store together.
        FileBatch => "file-batch",
        /// A response.
        Response => "response",
        /// An item of a response or conversation.
        Item => "item",
        /// A conversation.
        Conversation => "conversation",
        /// A container.
        Container => "container",
        /// A file in a container.
        ContainerFile => "container-file",
        /// An eval.
        Eval => "eval",
        /// A run of an eval.
        EvalRun => "eval-run",
        /// A stored chat completion.
        Completion => "stored-completion",
        /// A video or the job that makes it.
        Video => "video",
        /// A character for videos.
        Character => "video-character",
        /// Images in the making (dated Azure).
        ImageOperation => "image-operation",
        /// A skill.
        Skill => "skill",
        /// A voice.
        Voice => "voice",
        /// The consent to a voice.
        VoiceConsent => "voice-consent",
        /// A realtime call.
        Call => "realtime-call",
        /// A ChatKit session.
        ChatSession => "chat-session",
        /// A ChatKit thread.
        ChatThread => "chat-thread",
        /// An ingestion job (dated Azure).
        IngestionJob => "ingestion-job",
    }
}

impl ObjectKind {
    /// The kind that an id's first letters tell. `msg_` may be a message or an item.
    pub fn of_id(id: &str) -> Option<Self> {
        if is_fine_tuned(id) {
            return Some(Self::FineTunedModel);
        }
        let prefix = id.split(['_', '-']).next().filter(|prefix| prefix.len() < id.len())?;
        Some(match prefix {
            "file" | "assistant" => Self::File,
            "upload" => Self::Upload,
            "batch" => Self::Batch,
            "ftjob" => Self::FineTuningJob,
            "asst" => Self::Assistant,
            "thread" => Self::Thread,
            "run" => Self::Run,
            "vs" => Self::VectorStore,
            "vsfb" => Self::FileBatch,
            "resp" => Self::Response,
            "conv" => Self::Conversation,
            "cntr" => Self::Container,
            "cfile" => Self::ContainerFile,
            "eval" => Self::Eval,
            "evalrun" => Self::EvalRun,
            "chatcmpl" => Self::Completion,
            "video" => Self::Video,
            "skill" => Self::Skill,
            _ => return None,
        })
    }

    /// It stands alone, or other objects name it: wherever its id is seen, it means the object.
    pub const fn stands_alone(self) -> bool {
        !matches!(
            self,
            Self::Message
                | Self::Run
                | Self::Item
                | Self::FileBatch
                | Self::ContainerFile
                | Self::EvalRun
                | Self::Completion
        )
    }
}

/// The name is that of a fine-tuned model: `ft:gpt-4o:org::id`, or `gpt-4o.ft-id` on Azure.
pub fn is_fine_tuned(name: &str) -> bool {
    name.starts_with("ft:") || name.contains(".ft-")
}

/// What an operation does with objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectRole {
    /// Kind of the object that the first id in the path names.
    pub pinned: Option<ObjectKind>,
    /// Kind of the object it makes.
    pub creates: Option<ObjectKind>,
    /// Kind of the objects it lists, where they stand alone.
    pub lists: Option<ObjectKind>,
    /// Kind of the object that is gone afterwards: the last one that the path names.
    pub deletes: Option<ObjectKind>,
}

impl ObjectRole {
    /// The role of a method on a path below its prefix, with `{}` around its parameters.
    pub(crate) fn of(method: &str, relative: &str) -> Self {
        let segments: Vec<&str> = relative
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| if segment.starts_with('{') { "{}" } else { segment })
            .collect();
        let Some((kind, rest)) = collection(&segments) else {
            let creates = match (method, segments.as_slice()) {
                ("POST", ["images", "generations:submit"]) => Some(ObjectKind::ImageOperation),
                ("POST", ["video", "generations", "jobs"]) => Some(ObjectKind::Video),
                _ => None,
            };
            return Self { creates, ..Self::default() };
        };
        Self {
            pinned: (rest.first() == Some(&"{}")).then_some(kind),
            creates: creates(method, kind, rest),
            lists: (method == "GET" && rest.is_empty() && kind != ObjectKind::Response)
                .then_some(kind),
            deletes: deletes(kind, rest).filter(|_| method == "DELETE"),
        }
    }
}

/// The collection that a path begins with, and what follows.
fn collection<'a>(segments: &'a [&'a str]) -> Option<(ObjectKind, &'a [&'a str])> {
    use ObjectKind as K;
    Some(match segments {
        ["fine_tuning", "jobs", rest @ ..] | ["fine-tunes", rest @ ..] => (K::FineTuningJob, rest),
        ["fine_tuning", "checkpoints", rest @ ..] | ["models", rest @ ..] => {
            (K::FineTunedModel, rest)
        }
        ["chat", "completions", rest @ ..] | ["extensions", "chat", "completions", rest @ ..] => {
            (K::Completion, rest)
        }
        ["operations", "images", rest @ ..] => (K::ImageOperation, rest),
        ["realtime", "calls", rest @ ..] => (K::Call, rest),
        ["videos", "characters", rest @ ..] => (K::Character, rest),
        ["audio", "voice_consents", rest @ ..] => (K::VoiceConsent, rest),
        ["audio", "voices", rest @ ..] => (K::Voice, rest),
        ["chatkit", "sessions", rest @ ..] => (K::ChatSession, rest),
        ["chatkit", "threads", rest @ ..] => (K::ChatThread, rest),
        ["ingestion", "jobs", rest @ ..] => (K::IngestionJob, rest),
        ["files", rest @ ..] => (K::File, rest),
        ["uploads", rest @ ..] => (K::Upload, rest),
        ["batches", rest @ ..] => (K::Batch, rest),
        ["assistants", rest @ ..] => (K::Assistant, rest),
        ["threads", rest @ ..] => (K::Thread, rest),
        ["vector_stores", rest @ ..] => (K::VectorStore, rest),
        ["responses", rest @ ..] => (K::Response, rest),
        ["conversations", rest @ ..] => (K::Conversation, rest),
        ["containers", rest @ ..] => (K::Container, rest),
        ["evals", rest @ ..] => (K::Eval, rest),
        ["videos", rest @ ..] => (K::Video, rest),
        ["skills", rest @ ..] => (K::Skill, rest),
        _ => return None,
    })
}

fn creates(method: &str, kind: ObjectKind, rest: &[&str]) -> Option<ObjectKind> {
    use ObjectKind as K;
    match (method, kind, rest) {
        ("PUT", K::IngestionJob, ["{}"]) => Some(kind),
        ("POST", _, []) if kind != K::FineTunedModel => Some(kind),
        ("POST", K::File, ["import"]) => Some(kind),
        ("POST", K::Video, ["edits" | "extensions"] | ["{}", "remix"]) => Some(kind),
        ("POST", K::Thread, ["runs"] | ["{}", "runs"]) => Some(K::Run),
        ("POST", K::Thread, ["{}", "messages"]) => Some(K::Message),
        ("POST", K::Upload, ["{}", "complete"]) => Some(K::File),
        ("POST", K::VectorStore, ["{}", "file_batches"]) => Some(K::FileBatch),
        ("POST", K::Eval, ["{}", "runs"]) => Some(K::EvalRun),
        ("POST", K::Container, ["{}", "files"]) => Some(K::ContainerFile),
        ("POST", K::Conversation, ["{}", "items"]) => Some(K::Item),
        ("POST", K::Response, ["compact"]) => Some(kind),
        _ => None,
    }
}

/// Taking a file out of a vector store or from an assistant leaves the file.
fn deletes(kind: ObjectKind, rest: &[&str]) -> Option<ObjectKind> {
    use ObjectKind as K;
    match (kind, rest) {
        (_, ["{}"]) => Some(kind),
        (K::Thread, ["{}", "messages", "{}"]) => Some(K::Message),
        (K::Container, ["{}", "files", "{}"]) => Some(K::ContainerFile),
        (K::Eval, ["{}", "runs", "{}"]) => Some(K::EvalRun),
        (K::Conversation, ["{}", "items", "{}"]) => Some(K::Item),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Catalogue, Statefulness};

    #[test]
    fn operations_know_what_they_do_with_objects() {
        use ObjectKind as K;
        let catalogue = Catalogue::builtin();
        let role = |method: &str, path: &str| {
            let found = catalogue.identify(method, path, Some("api-version=2025-04-01-preview"));
            found.operation.unwrap_or_else(|| panic!("{method} {path}")).role
        };
        let none = ObjectRole::default();
        let pinned = |kind| ObjectRole { pinned: Some(kind), ..none };
        let creates = |kind| ObjectRole { creates: Some(kind), ..none };
        let lists = |kind| ObjectRole { lists: Some(kind), ..none };
        for (method, path, want) in [
            ("POST", "/v1/files", creates(K::File)),
            ("GET", "/openai/files", lists(K::File)),
            ("GET", "/openai/v1/files/file-1/content", pinned(K::File)),
            (
                "DELETE",
                "/v1/files/file-1",
                ObjectRole { deletes: Some(K::File), ..pinned(K::File) },
            ),
            ("POST", "/v1/threads/runs", creates(K::Run)),
            (
                "POST",
                "/openai/threads/thread_1/runs",
                ObjectRole { creates: Some(K::Run), ..pinned(K::Thread) },
            ),
            ("GET", "/openai/threads/thread_1/messages", pinned(K::Thread)),
            ("DELETE", "/v1/vector_stores/vs_1/files/file-1", pinned(K::VectorStore)),
            ("POST", "/v1/responses", creates(K::Response)),
            ("GET", "/v1/responses/resp_1/input_items", pinned(K::Response)),
            ("POST", "/openai/deployments/gpt-4o/chat/completions", creates(K::Completion)),
            ("GET", "/v1/chat/completions", lists(K::Completion)),
            ("GET", "/v1/fine_tuning/jobs/ftjob-1/events", pinned(K::FineTuningJob)),
            ("GET", "/v1/models/ft:gpt-4o:org::1", pinned(K::FineTunedModel)),
            ("POST", "/v1/chat/completions/chatcmpl-1", pinned(K::Completion)),
            ("POST", "/v1/embeddings", none),
        ] {
            assert_eq!(role(method, path), want, "{method} {path}");
        }
    }

    #[test]
    fn every_operation_that_is_pinned_by_its_path_has_a_kind() {
        for operation in Catalogue::builtin().operations() {
            if operation.stateful == Statefulness::ById && operation.pin.path {
                assert!(operation.role.pinned.is_some(), "{}", operation.path_template);
            }
        }
    }

    #[test]
    fn ids_tell_their_kind() {
        for (id, kind) in [
            ("file-abc", Some(ObjectKind::File)),
            ("assistant-0x1", Some(ObjectKind::File)),
            ("vs_68f", Some(ObjectKind::VectorStore)),
            ("gpt-4o-mini-2024-07-18.ft-0e2", Some(ObjectKind::FineTunedModel)),
            ("ft:gpt-4o:org::abc", Some(ObjectKind::FineTunedModel)),
            ("gpt-4o", None),
            ("msg_1", None),
            ("file", None),
        ] {
            assert_eq!(ObjectKind::of_id(id), kind, "{id}");
        }
    }
}
