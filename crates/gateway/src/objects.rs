//! Which backend a call belongs to because of the objects it names: what a backend has made is found
//! there and nowhere else, by whoever it was made for and nobody else.

mod missing;

use std::time::Instant;

use event::{Frame, Record};
use http::Method;
use http::request::Parts;
use openai::{ObjectKind, is_fine_tuned};
use policy::Grant;
use shared::Known;

pub(crate) use missing::missing;

use crate::asked::Asked;
use crate::backend::Backend;
use crate::config::UnknownObjects;
use crate::exchange::Exchange;
use crate::home::Home;
use crate::learner::Learner;
use crate::record;
use crate::refusal::{Kind, Refusal};

/// The home of a call, as far as it is known, and the object that decided.
struct Homeward {
    backend_id: String,
    because_of: String,
}

impl Exchange {
    /// A call names objects or makes them, or a model that exists once.
    pub(crate) fn may_have_home(&self, asked: &Asked) -> bool {
        let deployment = asked.deployment();
        asked.is_stateful()
            || is_fine_tuned(deployment)
            || self.gateway.objects.model(deployment).is_some()
    }

    /// Where a call must go. What it names must be known, and its caller's.
    pub(crate) async fn find_home(
        &self,
        parts: &Parts,
        asked: &Asked,
        grant: &Grant,
    ) -> Result<Home, Refusal> {
        let named = &asked.named;
        let mut home = self.home_of_model(asked, grant).await?;
        if named.too_many {
            let text = "The request names more than 1,024 objects: split it into several.";
            return Err(Refusal::new(Kind::BodyMalformed).say(text));
        }
        if let Some((kind, id)) = named.role.pinned.zip(named.pinned.as_deref()) {
            // Ids that the caller chooses are new at first; models have names that are nobody's.
            let may_be_new = (named.role.creates.is_some() && parts.method == Method::PUT)
                || (kind == ObjectKind::FineTunedModel && !is_fine_tuned(id));
            self.follow(kind, id, may_be_new, grant, &mut home).await?;
        }
        for (kind, id) in &named.in_body {
            self.follow(*kind, id, false, grant, &mut home).await?;
        }
        if let Some(home) = home {
            return Ok(Home::Backend(home.backend_id.into()));
        }
        if asked.is_stateful() || is_fine_tuned(asked.deployment()) {
            return Ok(self.home_of_owner(&grant.subscription_id, asked.deployment()));
        }
        Ok(Home::Any)
    }

    /// A fine-tuned model exists at one backend. It is its maker's, unless an administrator has
    /// listed it among a backend's deployments.
    async fn home_of_model(
        &self,
        asked: &Asked,
        grant: &Grant,
    ) -> Result<Option<Homeward>, Refusal> {
        let (name, objects) = (asked.deployment(), &self.gateway.objects);
        let is_listed = || self.live.pool.backends().iter().any(|backend| backend.lists(name));
        let known = match objects.model(name) {
            // Another node may have seen it made just now.
            None if is_fine_tuned(name) && !is_listed() => {
                objects.find(name).await.map_err(registry_down)?
            }
            known => known,
        };
        let Some(known) = known else { return Ok(None) };
        if known.owner != grant.subscription_id && !is_listed() {
            let detail = "the fine-tuned model belongs to another subscription";
            return Err(Refusal::new(Kind::DeploymentNotFound).detail(detail));
        }
        Ok(Some(Homeward { backend_id: known.backend_id.clone(), because_of: name.to_owned() }))
    }

    /// Looks up one object and goes where it is, if that is where the others are.
    async fn follow(
        &self,
        kind: ObjectKind,
        id: &str,
        may_be_new: bool,
        grant: &Grant,
        home: &mut Option<Homeward>,
    ) -> Result<(), Refusal> {
        let found = self.gateway.objects.find(id).await.map_err(registry_down)?;
        let Some(known) = found else {
            let is_open = self.live.config.objects.unknown == UnknownObjects::Home;
            if may_be_new || is_open {
                return Ok(());
            }
            return Err(missing(kind, id).detail("no backend is known to have it"));
        };
        let Known { owner, backend_id, .. } = &*known;
        if *owner != grant.subscription_id {
            return Err(missing(kind, id).detail(format!("it belongs to subscription {owner}")));
        }
        match home {
            Some(home) if home.backend_id != *backend_id => {
                let detail = format!("one at {}, the other at {backend_id}", home.backend_id);
                let text = format!(
                    "The request names objects that are kept by different model instances: {} and {id}. \
                     Make them anew with one another's help: an upload goes where the object that uses it is \
                     made, if both are made with the same subscription.",
                    home.because_of
                );
                Err(Refusal::new(Kind::ObjectsApart).say(text).detail(detail))
            }
            Some(_) => Ok(()),
            None => {
                let because_of = id.to_owned();
                *home = Some(Homeward { backend_id: backend_id.clone(), because_of });
                Ok(())
            }
        }
    }

    /// Whether a later message of a session may name its objects: they must be the caller's, and at
    /// the backend that the session is with.
    pub(crate) async fn check_objects(
        &self,
        asked: &Asked,
        grant: &Grant,
        backend_id: &str,
    ) -> Result<(), Refusal> {
        let because_of = "what this session has named before".to_owned();
        let mut home = Some(Homeward { backend_id: backend_id.to_owned(), because_of });
        for (kind, id) in &asked.named.in_body {
            self.follow(*kind, id, false, grant, &mut home).await?;
        }
        Ok(())
    }

    /// Where a subscription's new objects are made: the backends marked as `home`, or else all that
    /// serve the deployment, are put in an order of its own (rendezvous hashing), and the first that
    /// is available is taken. So what belongs together lands together, and a backend more or less
    /// moves few subscriptions.
    pub(crate) fn home_of_owner(&self, owner: &str, deployment: &str) -> Home {
        let now = Instant::now();
        let serving = || self.live.pool.backends().iter().filter(|b| b.serves(deployment));
        if let Some(only) = serving().find(|backend| backend.is_fine_tuned(deployment)) {
            return Home::Backend(only.id.as_str().into());
        }
        let has_declared = serving().any(|backend| backend.is_home);
        let mut candidates: Vec<&Backend> =
            serving().filter(|b| b.is_home || !has_declared).map(|backend| &**backend).collect();
        candidates.sort_by_key(|backend| std::cmp::Reverse(affinity(owner, &backend.id)));
        let available = candidates.iter().find(|backend| backend.takes_new(now));
        match available.or(candidates.first()) {
            Some(backend) => Home::Backend(backend.id.as_str().into()),
            None => Home::Any,
        }
    }

    /// What an answer has told that was not known: noted, to be remembered once it is kept.
    pub(crate) async fn note_objects(
        &self,
        learner: &mut Learner,
    ) -> Result<Option<(Frame, event::Objects)>, Refusal> {
        let told = learner.take();
        if told.made.is_empty() && told.gone.is_empty() {
            return Ok(None);
        }
        let objects = &self.gateway.objects;
        objects.room().await.map_err(registry_down)?;
        let mut record = told;
        // Who made it first has it, so a doubt may be noted.
        let _ = objects.retain_new(&mut record.made).await;
        if record.made.is_empty() && record.gone.is_empty() {
            return Ok(None);
        }
        let frame = Record::Objects(Box::new(record.clone())).encode(self.recorder.id);
        Ok(Some((frame, record)))
    }

    /// As [`Exchange::note_objects`], kept and remembered on return: the piece of the answer that told
    /// of them may go out.
    pub(crate) async fn keep_objects(&self, learner: &mut Learner) -> Result<(), Refusal> {
        let Some((frame, record)) = self.note_objects(learner).await? else { return Ok(()) };
        let commit = self.recorder.append(vec![frame]).await?;
        let sequence = record::kept(commit).await?;
        self.gateway.objects.remember(&record, sequence).await;
        Ok(())
    }

    /// Remembers what stands in the record up to this sequence.
    pub(crate) async fn remember_learnt(&mut self, sequence: u64) {
        for record in std::mem::take(&mut self.learnt) {
            self.gateway.objects.remember(&record, sequence).await;
        }
    }
}

pub(crate) fn registry_down(error: shared::Error) -> Refusal {
    Refusal::new(Kind::RegistryDown).detail(error.story())
}

/// How much a subscription is drawn to a backend; the same in every version and on every node.
fn affinity(owner: &str, backend_id: &str) -> u64 {
    // FNV-1a, then the finaliser of MurmurHash3.
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in owner.bytes().chain([0]).chain(backend_id.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_spread_over_backends_and_stay_when_one_comes() {
        let best = |owner: &str, backends: &[&str]| {
            let by = |id: &&&str| affinity(owner, id);
            backends.iter().max_by_key(by).map(|id| (*id).to_owned()).unwrap()
        };
        let (mut counts, mut moved) = ([0; 3], 0);
        for number in 0..3000 {
            let owner = format!("team-{number}");
            let before = best(&owner, &["east", "west", "north"]);
            counts[["east", "west", "north"].iter().position(|id| *id == before).unwrap()] += 1;
            let after = best(&owner, &["east", "west", "north", "south"]);
            moved += usize::from(after != before);
            assert!(after == before || after == "south");
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        assert!((600..900).contains(&moved), "{moved}");
    }
}
