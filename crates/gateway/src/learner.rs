//! The ids of objects in one answer, as it passes.

use std::collections::HashSet;
use std::mem;
use std::time::SystemTime;

use event::{Object, Objects, Timestamp};
use http::response::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use openai::{IdFinder, IdPlace, ObjectKind, ObjectRole, is_fine_tuned};

use crate::admitted::Admitted;
use crate::named::Named;

/// Most ids that one answer may bring.
const IDS_MAX: usize = 4096;

/// Looks for new objects in one answer.
pub(crate) struct Learner {
    finder: IdFinder,
    named: Named,
    backend_id: String,
    owner: String,
    /// The first object that it told: those inside belong to it.
    own: String,
    /// What was found since it was last taken.
    told: Objects,
    seen: HashSet<String>,
}

impl Learner {
    /// For an answer that may tell of objects; none for all others.
    pub(crate) fn of(admitted: &Admitted, backend_id: &str, answer: &Parts) -> Option<Box<Self>> {
        let named = &admitted.asked.named;
        let gone = named.role.deletes.zip(named.last.as_ref());
        let is_gone = gone.is_some() && answer.status == StatusCode::NOT_FOUND;
        let tuned = tuned_deployment(admitted);
        let is_of_interest = named.teaches() || tuned.is_some();
        if !is_of_interest || !(answer.status.is_success() || is_gone) {
            return None;
        }
        let content_type = answer.headers.get(header::CONTENT_TYPE);
        let mut learner = Self {
            finder: IdFinder::new(content_type.and_then(|value| value.to_str().ok())),
            named: named.clone(),
            backend_id: backend_id.to_owned(),
            owner: admitted.grant.subscription_id.clone(),
            own: String::new(),
            told: Objects::default(),
            seen: HashSet::new(),
        };
        if let Some((kind, id)) = gone {
            learner.told.gone.push(object(kind, id.clone(), ""));
        }
        if let Some(name) = tuned {
            learner.add(ObjectKind::FineTunedModel, name);
        }
        learner.head(&answer.headers);
        if answer.headers.contains_key(header::CONTENT_ENCODING) {
            tracing::warn!(
                backend = backend_id,
                "an answer came compressed though that was not asked for: objects in it stay unknown"
            );
        }
        Some(Box::new(learner))
    }

    /// For the objects of a list.
    pub(crate) fn of_list(admitted: &Admitted, backend_id: &str) -> Self {
        Self {
            finder: IdFinder::new(Some("application/json")),
            named: admitted.asked.named.clone(),
            backend_id: backend_id.to_owned(),
            owner: admitted.grant.subscription_id.clone(),
            own: String::new(),
            told: Objects::default(),
            seen: HashSet::new(),
        }
    }

    /// Takes an object of a list.
    pub(crate) fn push_whole(&mut self, text: &[u8]) {
        self.finder = IdFinder::new(Some("application/json"));
        self.push(text);
    }

    /// For the answers of a session over a WebSocket, as a stream of events has them.
    pub(crate) fn of_session(named: &Named, backend_id: &str, owner: &str) -> Box<Self> {
        let role = ObjectRole { creates: Some(ObjectKind::Response), ..named.role };
        Box::new(Self {
            finder: IdFinder::new(Some("text/event-stream")),
            named: Named { role, ..named.clone() },
            backend_id: backend_id.to_owned(),
            owner: owner.to_owned(),
            own: String::new(),
            told: Objects::default(),
            seen: HashSet::new(),
        })
    }

    /// Takes the next piece of the answer.
    pub(crate) fn push(&mut self, data: &[u8]) {
        self.finder.push(data);
        for (place, id) in self.finder.take() {
            if let Some(kind) = self.kind_of(place, &id) {
                self.add(kind, id);
            }
        }
    }

    /// What was found since the last time.
    pub(crate) fn take(&mut self) -> Objects {
        let told = mem::take(&mut self.told);
        Objects {
            noted_at: Timestamp::from(SystemTime::now()),
            backend_id: self.backend_id.clone(),
            owner: self.owner.clone(),
            ..told
        }
    }

    /// Nothing was found since the last time.
    pub(crate) fn has_none(&self) -> bool {
        self.told.made.is_empty() && self.told.gone.is_empty()
    }

    /// Ids that stand in the head: of a call in `location`, of images in the making in
    /// `operation-location`; a new deployment or ingestion job has the one the caller gave it.
    fn head(&mut self, headers: &HeaderMap) {
        let name = match self.named.role.creates {
            Some(ObjectKind::Call) => header::LOCATION,
            Some(ObjectKind::ImageOperation) => HeaderName::from_static("operation-location"),
            Some(kind @ ObjectKind::IngestionJob) => {
                if let Some(id) = self.named.pinned.clone() {
                    self.insert(kind, id, "");
                }
                return;
            }
            _ => return,
        };
        let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let path = value.split('?').next().unwrap_or_default();
        let id = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        if let Some(kind) = self.named.role.creates.filter(|_| !id.is_empty()) {
            self.add(kind, id.to_owned());
        }
    }

    /// What an id means, if it is to be remembered.
    fn kind_of(&self, place: IdPlace, id: &str) -> Option<ObjectKind> {
        let ObjectRole { creates, pinned, deletes, .. } = self.named.role;
        if deletes.is_some() {
            return None;
        }
        let by_id = ObjectKind::of_id(id);
        let has_items = |kind| {
            matches!(kind, Some(ObjectKind::Response | ObjectKind::Conversation | ObjectKind::Item))
        };
        match place {
            // An upload that is complete answers itself; the file stands inside.
            IdPlace::Own
                if creates == Some(ObjectKind::File) && by_id == Some(ObjectKind::Upload) =>
            {
                None
            }
            IdPlace::Own if creates.is_some() => match (creates, by_id) {
                // Streams of a run bring its steps and messages along.
                (Some(ObjectKind::Run), Some(ObjectKind::Run | ObjectKind::Thread)) => by_id,
                (Some(ObjectKind::Run), _) => None,
                _ => creates,
            },
            IdPlace::Own => by_id.filter(|kind| kind.stands_alone()),
            IdPlace::Thread => Some(ObjectKind::Thread),
            IdPlace::Named => by_id.filter(|kind| kind.stands_alone() || creates == Some(*kind)),
            IdPlace::Inside if by_id.is_none_or(|kind| kind == ObjectKind::Item) => {
                (has_items(creates) || has_items(pinned)).then_some(ObjectKind::Item)
            }
            IdPlace::Inside => None,
        }
    }

    fn add(&mut self, kind: ObjectKind, id: String) {
        if self.named.names(&id) {
            return;
        }
        let parent = match (kind.stands_alone(), &self.named.pinned) {
            (false, Some(parent)) => parent.clone(),
            (false, None) => self.own.clone(),
            (true, _) => String::new(),
        };
        if kind.stands_alone() && self.own.is_empty() {
            self.own.clone_from(&id);
        }
        self.insert(kind, id, &parent);
    }

    fn insert(&mut self, kind: ObjectKind, id: String, parent: &str) {
        if self.seen.len() >= IDS_MAX {
            tracing::warn!(
                backend = self.backend_id,
                "an answer tells more ids than are remembered"
            );
        } else if self.seen.insert(id.clone()) {
            self.told.made.push(object(kind, id, parent));
        }
    }
}

fn object(kind: ObjectKind, id: String, parent: &str) -> Object {
    Object { kind: kind.name().to_owned(), id, parent: parent.to_owned() }
}

/// The name of the fine-tuned model that a deployment is to be made of, and the deployment's.
fn tuned_deployment(admitted: &Admitted) -> Option<String> {
    let target = &admitted.asked.target;
    if target.subkind != "deployment" || admitted.parts.method != Method::PUT {
        return None;
    }
    let body: serde_json::Value = serde_json::from_slice(admitted.upload.whole()?).ok()?;
    let model = body.pointer("/properties/model/name").or_else(|| body.get("model"))?.as_str()?;
    let name = admitted.parts.uri.path().trim_end_matches('/').rsplit('/').next()?;
    is_fine_tuned(model).then(|| name.to_owned())
}
