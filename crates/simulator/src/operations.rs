//! Which operation answers which path.

use http::Method;

use crate::call::{Call, Reply};
use crate::dialect::Dialect;
use crate::failure::Failure;
use crate::images::Work;
use crate::{
    assistants, audio, batches, chat, chatkit, checkpoints, completions, conversations,
    deployments, embeddings, files, fine_tuning, graders, images, ingestion, models, others,
    realtime_calls, realtime_secrets, responses, skills, uploads, vector_stores, videos, voices,
};

/// Does what a request asks for.
pub(crate) fn perform(call: &Call<'_>) -> Result<Reply, Failure> {
    let segments: Vec<&str> = call.route.segments.iter().map(String::as_str).collect();
    let post = call.method == Method::POST;
    match segments.as_slice() {
        _ if call.dialect() == Dialect::Arm => deployments::arm(call, &segments),
        ["chat", "completions"] | ["extensions", "chat", "completions"] if post => {
            chat::create(call)
        }
        ["completions"] if post => completions::create(call),
        ["embeddings"] if post => embeddings::create(call),
        ["images", "embeddings"] if post => others::image_embeddings(call),
        ["responses", rest @ ..] => responses::perform(call, rest),
        ["images", "generations"] if post => images::create(call, Work::Generation),
        ["images", "edits"] if post => images::create(call, Work::Edit),
        ["images", "variations"] if post => images::create(call, Work::Variation),
        ["images", "generations:submit"] if post => images::submit(call),
        ["operations", "images", id] => images::operation(call, id),
        ["audio", "transcriptions"] if post => audio::transcribe(call, false),
        ["audio", "translations"] if post => audio::transcribe(call, true),
        ["audio", "speech"] if post => audio::speak(call),
        ["models", rest @ ..] => models::models(call, rest),
        ["info"] if call.dialect() == Dialect::Inference => models::info(call),
        ["deployments", rest @ ..] => deployments::data_plane(call, rest),
        ["files", rest @ ..] => files::perform(call, rest),
        ["uploads", rest @ ..] => uploads::perform(call, rest),
        ["batches", rest @ ..] => batches::perform(call, rest),
        ["fine_tuning", "jobs", rest @ ..] => fine_tuning::perform(call, rest),
        ["fine_tuning", "alpha", "graders", work] => graders::perform(call, work),
        ["fine_tuning", "checkpoints", checkpoint, "permissions", rest @ ..] => {
            checkpoints::permissions(call, checkpoint, rest)
        }
        ["fine-tunes", rest @ ..] => fine_tuning::legacy(call, rest),
        ["ingestion", "jobs", rest @ ..] => ingestion::perform(call, rest),
        ["assistants" | "threads", ..] => assistants::perform(call, &segments),
        ["vector_stores", rest @ ..] => vector_stores::perform(call, rest),
        ["conversations", rest @ ..] => conversations::perform(call, rest),
        ["chat", "completions", rest @ ..] => others::stored(call, rest),
        ["realtime", "calls", rest @ ..] => realtime_calls::perform(call, rest),
        ["realtime" | "realtimeapi", kind] | ["realtime", "translations", kind] if post => {
            realtime_secrets::create(call, kind)
        }
        ["chatkit", rest @ ..] => chatkit::perform(call, rest),
        ["content_provenance_checks"] if post => others::check_provenance(call),
        ["moderations"] if post => others::moderate(call),
        ["containers", rest @ ..] => others::containers(call, rest),
        ["evals", rest @ ..] => others::evals(call, rest),
        ["videos", rest @ ..] => videos::perform(call, rest),
        ["video", "generations", "jobs"] if post => videos::job(call),
        ["skills", rest @ ..] => skills::perform(call, rest),
        ["audio", rest @ ..] => voices::perform(call, rest),
        _ => Err(call.unknown()),
    }
}
