//! Lists of objects that stand alone: what the caller owns, wherever it is kept, in one order.
//!
//! The registry knows which objects are the caller's and in which order they came; the backends that
//! have some of them are asked for their lists with the caller's own filters, and what is not the
//! caller's is left out. Pages are stable: where one begins is a place in the registry's order.
//! Of the backends' answers only what is passed on is recorded: the rest belongs to others.

mod page;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use event::{Answered, Dispatched, Side, Timestamp};
use futures_util::future::try_join_all;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use net::Body;
use openai::{ObjectKind, is_fine_tuned};
use serde_json::value::RawValue;
use shared::Owned;

use page::{Page, Wanted, id_of};

use crate::admitted::Admitted;
use crate::exchange::{Ending, Exchange};
use crate::forward::{Served, unavailable};
use crate::headers;
use crate::home::Home;
use crate::learner::Learner;
use crate::live::Live;
use crate::objects::{missing, registry_down};
use crate::record::{self, Recorder};
use crate::refusal::{Kind, Refusal};

/// Most pages of one backend that one list goes through.
const PAGES_MAX: u32 = 50;
/// Longest page of a backend.
const PAGE_BYTES_MAX: usize = 16 << 20;

/// What one backend is asked for.
struct Source {
    backend_id: String,
    /// Places in the caller's order of the objects it has, by their ids.
    places: HashMap<String, usize>,
    /// The caller's object there which comes before them.
    after: Option<String>,
}

/// An object that a backend has shown, at its place.
struct Shown {
    place: usize,
    backend_id: String,
    text: Box<RawValue>,
}

/// Asks backends for their lists on behalf of one exchange.
struct Lister<'a> {
    live: &'a Live,
    recorder: &'a Recorder,
    admitted: &'a Admitted,
    wanted: &'a Wanted,
    attempts: AtomicU32,
}

/// A backend's answer is no list.
enum Unlisted {
    Refused(Refusal),
    /// It answered with this status.
    Status(StatusCode),
}

impl Exchange {
    /// Answers a list. One that cannot be understood goes to the caller's home as it is, which says
    /// what is wrong with it.
    pub(crate) async fn list(
        &mut self,
        kind: ObjectKind,
        admitted: Box<Admitted>,
    ) -> Result<Served, Refusal> {
        let query = admitted.parts.uri.query().unwrap_or_default();
        let Some(wanted) = Wanted::read(kind, query) else { return self.forward(admitted).await };
        let frames = self.opened_frame().into_iter().chain(self.reserved_frame()).collect();
        self.recorder.keep(frames).await?;
        let began = Instant::now();
        let body = match kind {
            ObjectKind::FineTunedModel => self.list_models(&admitted, &wanted).await,
            _ => self.list_owned(kind, &admitted, &wanted).await,
        };
        self.tally.backend += began.elapsed();
        Ok(Served::Ended(self.listed(body?)))
    }

    async fn list_owned(
        &mut self,
        kind: ObjectKind,
        admitted: &Admitted,
        wanted: &Wanted,
    ) -> Result<Bytes, Refusal> {
        let owner = &admitted.grant.subscription_id;
        let owned = self.gateway.objects.owned(owner, kind.name()).await;
        let mut owned = owned.map_err(registry_down)?;
        if !wanted.is_ascending {
            owned.reverse();
        }
        let place = |id: &str| owned.iter().position(|object| object.id == id);
        let known = |id: &Option<String>| match id {
            Some(id) => place(id).map(Some).ok_or_else(|| missing(kind, id)),
            None => Ok(None),
        };
        let start = known(&wanted.after)?.map_or(0, |at| at + 1);
        let end = known(&wanted.before)?.unwrap_or(owned.len()).max(start);
        let lister = Lister {
            live: &self.live,
            recorder: &self.recorder,
            admitted,
            wanted,
            attempts: AtomicU32::new(0),
        };
        let sources = sources(&owned, start, end);
        let shown = try_join_all(sources.into_iter().map(|source| lister.collect(source))).await?;
        let mut shown: Vec<Shown> = shown.into_iter().flatten().collect();
        shown.sort_by_key(|object| object.place);
        let has_more = shown.len() > wanted.limit;
        shown.truncate(wanted.limit);
        self.learn_from(kind, admitted, &shown).await?;
        let texts: Vec<&RawValue> = shown.iter().map(|object| &*object.text).collect();
        Ok(page::body(&texts, has_more))
    }

    /// The models of all backends that are available, without those that were fine-tuned for others.
    async fn list_models(&self, admitted: &Admitted, wanted: &Wanted) -> Result<Bytes, Refusal> {
        let lister = Lister {
            live: &self.live,
            recorder: &self.recorder,
            admitted,
            wanted,
            attempts: AtomicU32::new(0),
        };
        let now = Instant::now();
        let backends = self.live.pool.backends().iter().filter(|backend| backend.is_up(now));
        let pages = try_join_all(backends.map(|b| lister.page(&b.id, None))).await;
        let pages = pages.map_err(Refusal::from)?;
        let mut models: BTreeMap<String, &RawValue> = BTreeMap::new();
        for text in pages.iter().flat_map(|page| &page.data) {
            let Some(id) = id_of(text) else { continue };
            let known = self.gateway.objects.model(&id);
            let is_own = known.is_some_and(|known| known.owner == admitted.grant.subscription_id);
            let is_listed = || self.live.pool.backends().iter().any(|b| b.lists(&id));
            if !is_fine_tuned(&id) || is_own || is_listed() {
                models.entry(id).or_insert(text);
            }
        }
        let texts: Vec<&RawValue> = models.into_values().collect();
        Ok(page::body(&texts, false))
    }

    /// Objects that a list tells of besides its own: what a batch or a job has made.
    async fn learn_from(
        &mut self,
        kind: ObjectKind,
        admitted: &Admitted,
        shown: &[Shown],
    ) -> Result<(), Refusal> {
        if kind == ObjectKind::File {
            return Ok(());
        }
        let mut learners: BTreeMap<&str, Learner> = BTreeMap::new();
        for object in shown {
            let learner = learners
                .entry(&object.backend_id)
                .or_insert_with(|| Learner::of_list(admitted, &object.backend_id));
            learner.push_whole(object.text.get().as_bytes());
        }
        for learner in learners.values_mut() {
            self.keep_objects(learner).await?;
        }
        Ok(())
    }

    /// The list goes out as a backend's own answer would.
    fn listed(&mut self, body: Bytes) -> Ending {
        let mut answer = Response::new(());
        let json = HeaderValue::from_static("application/json");
        answer.headers_mut().insert(header::CONTENT_TYPE, json);
        answer.headers_mut().insert(header::CONTENT_LENGTH, body.len().into());
        let (parts, ()) = answer.into_parts();
        self.account.note_answer(parts.status.as_u16(), &parts.headers);
        let frames = vec![
            self.recorder.answered(Answered {
                answered_at: Timestamp::from(SystemTime::now()),
                protocol: String::new(),
                status: parts.status.as_u16(),
                headers: record::header_list(&parts.headers),
                ..Answered::default()
            }),
            self.recorder.chunk(Side::Response, body.clone()),
        ];
        self.whole_ending(frames, parts, body, false)
    }
}

/// What each backend is asked for, so that the objects from `start` to `end` are shown.
fn sources(owned: &[Owned], start: usize, end: usize) -> Vec<Source> {
    let mut sources: Vec<Source> = Vec::new();
    for (place, object) in owned.iter().enumerate().take(end).skip(start) {
        let known = sources.iter().position(|source| source.backend_id == object.backend_id);
        let at = known.unwrap_or_else(|| {
            let before = owned[..start].iter().rfind(|o| o.backend_id == object.backend_id);
            sources.push(Source {
                backend_id: object.backend_id.clone(),
                places: HashMap::new(),
                after: before.map(|object| object.id.clone()),
            });
            sources.len() - 1
        });
        sources[at].places.insert(object.id.clone(), place);
    }
    sources
}

impl Lister<'_> {
    /// The caller's objects of one backend, up to one more than fit on the page.
    async fn collect(&self, source: Source) -> Result<Vec<Shown>, Refusal> {
        let mut shown: Vec<Shown> = Vec::new();
        let mut after = source.after.clone();
        for number in 0..PAGES_MAX {
            let page = match self.page(&source.backend_id, after.as_deref()).await {
                // The object that the page was to begin after may be gone there.
                Err(Unlisted::Status(StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND))
                    if number == 0 && after.is_some() =>
                {
                    self.page(&source.backend_id, None).await
                }
                page => page,
            };
            let page = page.map_err(Refusal::from)?;
            after = page.data.last().and_then(|text| id_of(text));
            for text in page.data {
                let place = id_of(&text).and_then(|id| source.places.get(&id).copied());
                if let Some(place) = place {
                    let backend_id = source.backend_id.clone();
                    shown.push(Shown { place, backend_id, text });
                }
            }
            let is_enough = shown.len() > self.wanted.limit || shown.len() == source.places.len();
            if is_enough || !page.has_more || after.is_none() {
                return Ok(shown);
            }
        }
        tracing::warn!(backend = source.backend_id, "a list is too long to be searched to its end");
        Ok(shown)
    }

    async fn page(&self, backend_id: &str, after: Option<&str>) -> Result<Page, Unlisted> {
        let Admitted { asked, parts, .. } = self.admitted;
        let now = Instant::now();
        let home = Home::Backend(backend_id.into());
        let chosen = self.live.pool.choose(asked, &home, &[], now);
        let mut chosen = chosen.map_err(|away| Unlisted::Refused(unavailable(away, now)))?;
        let backend = chosen.backend.clone();
        let path = asked.upstream_path(backend.kind, parts.uri.path(), &self.wanted.query(after));
        let uri = backend.path(&path).map_err(|error| {
            Unlisted::Refused(Refusal::new(Kind::HeadMalformed).detail(format!("path: {error}")))
        })?;
        let mut headers = headers::towards_backend(&parts.headers);
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some((name, value)) = backend.authorization() {
            headers.insert(name, value);
        }
        let sent = headers.changes();
        let dispatched = self.recorder.dispatched(Dispatched {
            sent_at: Timestamp::from(SystemTime::now()),
            attempt: self.attempts.fetch_add(1, Ordering::Relaxed) + 1,
            backend_id: backend.id.clone(),
            method: parts.method.as_str().to_owned(),
            url: backend.url(&uri.to_string()),
            headers: sent.list,
            dropped_headers: sent.dropped,
            ..Dispatched::default()
        });
        self.recorder.keep(vec![dispatched]).await.map_err(Unlisted::Refused)?;
        let mut request = Request::get(uri).body(Body::empty()).expect("the path was parsed");
        *request.headers_mut() = headers.into_headers();
        let answer = match backend.client.send(request).await {
            Ok(answer) => answer,
            Err(error) => {
                chosen.failed(&error, Instant::now());
                let detail = format!("{backend_id}: {}", error.story());
                return Err(Unlisted::Refused(Refusal::new(Kind::BackendFailed).detail(detail)));
            }
        };
        chosen.answered(answer.status().as_u16(), answer.headers(), Instant::now());
        if !answer.status().is_success() {
            return Err(Unlisted::Status(answer.status()));
        }
        self.read(backend_id, answer.headers().clone(), answer.into_body()).await
    }

    async fn read(
        &self,
        backend_id: &str,
        headers: HeaderMap,
        body: net::AnswerBody,
    ) -> Result<Page, Unlisted> {
        let failed = |why: String| {
            let detail = format!("{backend_id}: {why}");
            Unlisted::Refused(Refusal::new(Kind::BackendFailed).detail(detail))
        };
        let limit = Duration::from_millis(self.live.config.capture.answer_gap_timeout_ms);
        let reading = tokio::time::timeout(limit, Limited::new(body, PAGE_BYTES_MAX).collect());
        let read = reading.await.map_err(|_| failed("its list did not come in time".into()))?;
        let data = read.map_err(|error| failed(error.to_string()))?.to_bytes();
        Page::read(&data).map_err(|error| {
            let encoding = headers.get(header::CONTENT_ENCODING).is_some();
            failed(format!("its list cannot be read (compressed: {encoding}): {error}"))
        })
    }
}

impl From<Unlisted> for Refusal {
    fn from(unlisted: Unlisted) -> Self {
        match unlisted {
            Unlisted::Refused(refusal) => refusal,
            Unlisted::Status(status) => Refusal::new(Kind::BackendFailed)
                .detail(format!("a backend answered a list with status {status}")),
        }
    }
}
