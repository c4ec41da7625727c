//! What a caller is told of an object that is not there for it, in the words of OpenAI and Azure.

use openai::ObjectKind;

use crate::refusal::{Kind, Refusal, Shown};

const PLAIN: Shown = Shown { code: None, param: None, repeats_message: false };
const FILE: Shown = Shown { param: Some("id"), repeats_message: true, ..PLAIN };
const JOB: Shown =
    Shown { code: Some("fine_tune_not_found"), param: Some("fine_tune_id"), ..PLAIN };
const MODEL: Shown = Shown { code: Some("model_not_found"), param: Some("model"), ..PLAIN };
const COMPLETION: Shown = Shown { code: Some("not_found"), param: Some("completion_id"), ..PLAIN };
const RESOURCE: Shown = Shown { code: Some("404"), ..PLAIN };

/// The refusal for an id: the same whether nobody has it or somebody else.
pub(crate) fn missing(kind: ObjectKind, id: &str) -> Refusal {
    use ObjectKind as K;
    let found = |noun: &str| format!("No {noun} found with id '{id}'.");
    let with_id = |noun: &str| format!("{noun} with id '{id}' not found.");
    let mut shown = &PLAIN;
    let message = match kind {
        K::File => {
            shown = &FILE;
            format!("No such File object: {id}")
        }
        K::FineTuningJob => {
            shown = &JOB;
            format!("Could not find fine tune: {id}")
        }
        K::FineTunedModel => {
            shown = &MODEL;
            format!("The model '{id}' does not exist")
        }
        K::Completion => {
            shown = &COMPLETION;
            format!("Completion {id} not found")
        }
        K::ImageOperation | K::IngestionJob => {
            shown = &RESOURCE;
            "Resource not found".to_owned()
        }
        K::Response => with_id("Response"),
        K::Conversation => with_id("Conversation"),
        K::Item => with_id("Item"),
        K::Container => with_id("Container"),
        K::ContainerFile => with_id("Container file"),
        K::Assistant => found("assistant"),
        K::Thread | K::ChatThread => found("thread"),
        K::Message => found("message"),
        K::Run => found("run"),
        K::VectorStore => found("vector store"),
        K::FileBatch => found("vector store file batch"),
        K::Batch => found("batch"),
        K::Upload => found("upload"),
        K::Eval => found("eval"),
        K::EvalRun => found("eval run"),
        K::Video => found("video"),
        K::Character => found("character"),
        K::Skill => found("skill"),
        K::Voice => found("voice"),
        K::VoiceConsent => found("voice consent"),
        K::Call => found("call"),
        K::ChatSession => found("session"),
    };
    Refusal::new(Kind::ObjectMissing).say(message).shown(shown)
}
