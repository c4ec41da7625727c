//! The words in which an operation is described: surface, kind, state, streaming.

/// Defines an enum together with the names it is written by.
macro_rules! named {
    (
        $(#[$meta:meta])*
        $name:ident { $( $(#[doc = $doc:literal])* $variant:ident => $text:literal, )* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $( $(#[doc = $doc])* $variant, )*
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name as it stands in files and tables.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$variant => $text, )*
                }
            }

            /// The value of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

pub(crate) use named;

named! {
    /// The API description an operation comes from.
    Surface {
        /// Azure OpenAI with a dated `api-version`.
        AzureDated => "azure-dated",
        /// Azure OpenAI below `/openai/v1`.
        AzureV1 => "azure-v1",
        /// Azure AI model inference below `/models`.
        AzureAiInference => "azure-ai-inference",
        /// Plain OpenAI below `/v1`.
        OpenAi => "openai",
        /// Azure Resource Manager.
        Arm => "arm",
    }
}

named! {
    /// How a URL was written. Decides which surface is asked first.
    Family {
        /// `/openai/deployments/{deployment}/…` where the dated surface has the deployment in the path.
        AzureDeployment => "azure-deployment",
        /// `/openai/…` at the level of the resource.
        AzureResource => "azure-resource",
        /// `/openai/v1/…`.
        AzureV1 => "azure-v1",
        /// `/v1/…`.
        OpenAi => "openai",
        /// `/openai/deployments/{deployment}/…` for what has no deployment in its path: as some SDKs
        /// with a deployment configured call `threads` or `files`.
        DeploymentPrefixed => "deployment-prefixed",
        /// No prefix, as `/chat/completions` or `/deployments/{deployment}/chat/completions`.
        Bare => "bare",
        /// `/models/chat/completions` and its like.
        Inference => "inference",
        /// Azure Resource Manager, `/subscriptions/…`.
        Arm => "arm",
        /// None of ours.
        Unknown => "unknown",
    }
}

named! {
    /// What an operation is about.
    Kind {
        /// Chat completions and responses.
        Chat => "chat",
        /// Legacy text completions.
        Completion => "completion",
        /// Embeddings.
        Embedding => "embedding",
        /// Images.
        Image => "image",
        /// Transcription and translation of audio.
        SpeechToText => "speech-to-text",
        /// Speech from text.
        TextToSpeech => "text-to-speech",
        /// Assistants, threads, runs, vector stores.
        Assistants => "assistants",
        /// Files, uploads, containers.
        Files => "files",
        /// Batches.
        Batch => "batch",
        /// Fine-tuning.
        FineTune => "fine-tune",
        /// Realtime sessions.
        Realtime => "realtime",
        /// Deployments and models.
        Management => "deployments/management",
        /// Moderation, evals, videos and so on.
        Other => "other",
    }
}

named! {
    /// Whether a call depends on what an earlier call left at one backend.
    Statefulness {
        /// Any backend with the model.
        None => "none",
        /// Pinned only if the request names an object.
        Conditional => "conditional",
        /// Creates an object: remember the backend of its id.
        Creates => "creates",
        /// Goes to the backend that owns the id in the path.
        ById => "by_id",
        /// Answered from the caller's home backend, or merged from all.
        List => "list",
    }
}

named! {
    /// How an answer may be streamed.
    Streaming {
        /// Never.
        No => "no",
        /// Server-sent events, on request.
        Sse => "sse",
        /// Raw chunked bytes, or server-sent events on request.
        Chunked => "chunked",
        /// A WebSocket.
        WebSocket => "websocket",
    }
}

named! {
    /// Whether the request body is `multipart/form-data`.
    Multipart {
        /// Never.
        No => "no",
        /// Always.
        Yes => "yes",
        /// JSON is possible too.
        Either => "yes or json",
    }
}

/// Where the deployment or model stands in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeploymentSource {
    /// Nowhere.
    None,
    /// In the path.
    Path,
    /// In the query parameter of this name.
    Query(String),
    /// In the member `model` of the JSON body.
    Body,
    /// In the multipart field `model`.
    Form,
    /// In the lines of the file that the body names.
    InputFile,
}

impl DeploymentSource {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "none" => Self::None,
            "form:model" => Self::Form,
            _ if text.starts_with("path:") => Self::Path,
            _ if text.starts_with("body:/model") => Self::Body,
            _ if text.starts_with("jsonl(") => Self::InputFile,
            _ => Self::Query(text.strip_prefix("query:")?.to_owned()),
        })
    }
}

/// What decides the home of a stateful call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pin {
    /// The first id in the path.
    pub path: bool,
    /// Pointers into the request body (RFC 6901, `*` for any index); the first present one decides.
    pub body: Vec<String>,
    /// The text of the operations file, for people.
    pub text: String,
}

impl Pin {
    pub(crate) fn parse(text: &str) -> Self {
        let mut body = Vec::new();
        for part in text.split(['|', ';']) {
            // `body:/store=true -> resp:/id` remembers an answer's id; it pins nothing.
            match part.trim().strip_prefix("body:") {
                Some(pointer) if !pointer.contains('=') => {
                    body.push(pointer.split(' ').next().unwrap_or(pointer).to_owned());
                }
                _ => {}
            }
        }
        Self { path: text.starts_with("path:"), body, text: text.to_owned() }
    }
}
