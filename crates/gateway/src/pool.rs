//! All backends, and which one takes a call.
//!
//! Backends that serve a deployment form groups of the same priority and tier. The first group with
//! an available backend is used, and inside it calls are shared by weight. A call that depends on
//! what one backend holds goes there or nowhere.

pub(crate) mod chosen;
mod wish;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use event::BackendState;
use shared::{Notes, SecurityLog};

use crate::asked::Asked;
use crate::backend::breaker::Away;
use crate::backend::standing::{Drain, Lane};
use crate::backend::{Backend, Logs, Origin};
use crate::config::{BackendKeys, BackendKind, Balance, GatewayConfig, Tier};
use crate::error::Error;
use crate::home::Home;
use crate::pool::chosen::Chosen;
use crate::status::BackendStatus;

/// Most attempts at one request.
const ATTEMPTS_MAX: u32 = 16;
/// Deployments whose backends are remembered; those of further ones are looked up for every call.
const ROUTES_MAX: usize = 1_024;

/// All backends.
pub(crate) struct Pool {
    backends: Vec<Arc<Backend>>,
    balance: Balance,
    routes: RwLock<HashMap<String, Arc<Route>>>,
    log: Notes<BackendState>,
}

/// No backend takes the call now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unavailable {
    /// When the first comes back, where that is known.
    pub(crate) until: Option<Instant>,
    /// The first to come back is not broken but was asked too much.
    pub(crate) is_throttled: bool,
    /// For the record.
    pub(crate) why: &'static str,
}

/// The backends of one deployment, best first.
struct Route {
    members: Vec<Member>,
    /// Of each member: what smooth weighted choice owes it.
    credits: Mutex<Vec<i64>>,
}

struct Member {
    backend: Arc<Backend>,
    lane: Arc<Lane>,
}

impl Pool {
    /// The backends of a configuration; one that stays the same is taken over from `before`, with
    /// its connections. What is known of a backend stays with its id.
    pub(crate) fn new(
        config: &GatewayConfig,
        keys: &BackendKeys,
        security: &SecurityLog,
        before: Option<&Self>,
    ) -> Result<Self, Error> {
        if !(1..=ATTEMPTS_MAX).contains(&config.pool.attempts_max) {
            let attempts = config.pool.attempts_max;
            return Err(Error(format!(
                "pool.attempts_max is {attempts}; it may be 1 to {ATTEMPTS_MAX}"
            )));
        }
        let health = before.map_or_else(Notes::default, |pool| pool.log.clone());
        let logs = Logs { health: health.clone(), security: security.clone() };
        let mut backends: Vec<Arc<Backend>> = Vec::with_capacity(config.backends.len());
        for entry in &config.backends {
            if backends.iter().any(|other| other.id == entry.id) {
                return Err(Error(format!("backend `{}` stands twice: rename one", entry.id)));
            }
            let origin = Origin {
                config: entry.clone(),
                credential: keys.get(&entry.id).cloned(),
                stamp: entry.connection.stamp(),
                egress: config.egress.clone(),
                breaker: config.pool.breaker.clone(),
                region: config.region.clone(),
            };
            let same_id = before.and_then(|pool| pool.backends.iter().find(|b| b.id == entry.id));
            backends.push(match same_id {
                Some(backend) if backend.origin == origin => backend.clone(),
                former => {
                    Arc::new(Backend::new(origin, former.map(|backend| &**backend), logs.clone())?)
                }
            });
        }
        check_fine_tuned(&backends)?;
        let balance = config.pool.balance;
        Ok(Self { backends, balance, routes: RwLock::default(), log: health })
    }

    /// The backend for the next attempt of a call, which counts as in flight there from now on.
    pub(crate) fn choose(
        &self,
        asked: &Asked,
        home: &Home,
        tried: &[Arc<Backend>],
        now: Instant,
    ) -> Result<Chosen, Unavailable> {
        let deployment = asked.deployment();
        let nowhere = |why| Unavailable { until: None, is_throttled: false, why };
        if self.backends.is_empty() {
            return Err(nowhere("there are no backends"));
        }
        let pinned = match home {
            Home::Backend(id) => {
                let found = self.backends.iter().find(|backend| *backend.id == **id);
                Some(found.ok_or_else(|| nowhere("the backend that holds it is not configured"))?)
            }
            Home::Any => self.backends.iter().find(|backend| backend.is_fine_tuned(deployment)),
        };
        if let Some(backend) = pinned {
            let lane = backend.standing.lane(deployment);
            let member = Member { backend: backend.clone(), lane };
            member.availability(true, tried, now)?;
            return Chosen::enter(&member.backend, &member.lane, now).map_err(Unavailable::from);
        }
        self.route(deployment).choose(self.balance, tried, now)
    }

    /// Whether any backend has the deployment; with no backends at all, the answer comes later.
    pub(crate) fn knows(&self, deployment: &str) -> bool {
        self.backends.is_empty() || self.backends.iter().any(|backend| backend.serves(deployment))
    }

    /// Whether every backend that has the deployment is Azure's.
    pub(crate) fn is_azure(&self, deployment: &str) -> bool {
        let mut serving = self.backends.iter().filter(|backend| backend.serves(deployment));
        serving.all(|backend| backend.kind == BackendKind::Azure)
    }

    /// The deployments that backends are said to have, each once. There may be others where a backend
    /// serves every one.
    pub(crate) fn deployments(&self) -> BTreeSet<&str> {
        self.backends.iter().flat_map(|backend| backend.deployments()).collect()
    }

    pub(crate) fn status(&self, now: Instant) -> Vec<BackendStatus> {
        self.backends.iter().map(|backend| backend.status(now)).collect()
    }

    pub(crate) fn is_any_up(&self, now: Instant) -> bool {
        self.backends.iter().any(|backend| backend.is_up(now))
    }

    pub(crate) fn backends(&self) -> &[Arc<Backend>] {
        &self.backends
    }

    /// Where changes of health are noted.
    pub(crate) fn log(&self) -> &Notes<BackendState> {
        &self.log
    }

    /// Notes how everything stands.
    pub(crate) fn note_standing(&self, now: Instant) {
        for backend in &self.backends {
            backend.note_standing(now);
        }
    }

    /// Changes which calls a backend gets.
    pub(crate) fn drain(&self, id: &str, drain: Drain) -> Result<(), Error> {
        let backend = self.backends.iter().find(|backend| backend.id == id).ok_or_else(|| {
            let ids: Vec<_> = self.backends.iter().map(|backend| backend.id.as_str()).collect();
            Error(format!("there is no backend `{id}`: there are {}", ids.join(", ")))
        })?;
        backend.drain(drain);
        Ok(())
    }

    fn route(&self, deployment: &str) -> Arc<Route> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = routes.get(deployment) {
            return route.clone();
        }
        let has_room = routes.len() < ROUTES_MAX;
        drop(routes);
        let route = Arc::new(Route::new(&self.backends, deployment));
        if has_room {
            let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
            return routes.entry(deployment.to_owned()).or_insert(route).clone();
        }
        route
    }
}

impl Route {
    fn new(backends: &[Arc<Backend>], deployment: &str) -> Self {
        let serving = backends.iter().filter(|backend| backend.serves(deployment));
        let mut members: Vec<Member> = serving
            .map(|backend| Member {
                backend: backend.clone(),
                lane: backend.standing.lane(deployment),
            })
            .collect();
        members.sort_by_key(Member::rank);
        let credits = Mutex::new(vec![0; members.len()]);
        Self { members, credits }
    }

    fn choose(
        &self,
        balance: Balance,
        tried: &[Arc<Backend>],
        now: Instant,
    ) -> Result<Chosen, Unavailable> {
        let mut away: Option<Unavailable> = None;
        let mut from = 0;
        while let Some(first) = self.members.get(from) {
            let rank = first.rank();
            let count = self.members[from..].iter().take_while(|m| m.rank() == rank).count();
            let mut ready: Vec<usize> = Vec::with_capacity(count);
            for place in from..from + count {
                match self.members[place].availability(false, tried, now) {
                    Ok(()) => ready.push(place),
                    Err(this) => away = Some(away.map_or(this, |other| other.sooner(this))),
                }
            }
            // Another call may have taken the last place of a trial meanwhile.
            while let Some(place) = self.pick(balance, &ready) {
                let member = &self.members[place];
                match Chosen::enter(&member.backend, &member.lane, now) {
                    Ok(chosen) => return Ok(chosen),
                    Err(this) => {
                        let this = Unavailable::from(this);
                        away = Some(away.map_or(this, |other| other.sooner(this)));
                        ready.retain(|&other| other != place);
                    }
                }
            }
            from += count;
        }
        let why = "no backend serves the deployment";
        Err(away.unwrap_or(Unavailable { until: None, is_throttled: false, why }))
    }

    /// Smooth weighted choice, as nginx has it: each gets its weight as credit, the one with the most
    /// is taken and pays for all.
    fn pick(&self, balance: Balance, ready: &[usize]) -> Option<usize> {
        let weight = |place: usize| u64::from(self.members[place].backend.weight);
        let load = |place: usize| {
            let calls = u64::from(self.members[place].backend.standing.in_flight()) + 1;
            // In thousandths, so that weights divide finely enough.
            calls * 1_000_000 / weight(place)
        };
        let least = match balance {
            Balance::Weighted => u64::MAX,
            Balance::LeastOutstanding => ready.iter().map(|&place| load(place)).min()?,
        };
        let mut credits = self.credits.lock().unwrap_or_else(PoisonError::into_inner);
        let mut total = 0;
        let mut best: Option<usize> = None;
        for &place in ready {
            if least != u64::MAX && load(place) > least {
                continue;
            }
            let weight = i64::from(self.members[place].backend.weight);
            credits[place] += weight;
            total += weight;
            if best.is_none_or(|best| credits[place] > credits[best]) {
                best = Some(place);
            }
        }
        let best = best.or_else(|| ready.first().copied())?;
        credits[best] -= total;
        Some(best)
    }
}

impl Member {
    fn rank(&self) -> (u32, Tier) {
        (self.backend.priority, self.backend.tier)
    }

    /// Whether it takes a call; `is_pinned` if the call can go nowhere else.
    fn availability(
        &self,
        is_pinned: bool,
        tried: &[Arc<Backend>],
        now: Instant,
    ) -> Result<(), Unavailable> {
        let nowhere = |why| Err(Unavailable { until: None, is_throttled: false, why });
        let backend = &self.backend;
        if tried.iter().any(|other| Arc::ptr_eq(other, backend)) {
            return nowhere("it was tried already");
        }
        match backend.standing.drain() {
            Drain::Balanced if !is_pinned => return nowhere("it is drained"),
            Drain::Everything => return nowhere("it is drained"),
            Drain::Balanced | Drain::Undrained => {}
        }
        if backend.standing.is_down() {
            return nowhere("its probes fail");
        }
        if backend.lacks_credential() {
            return nowhere("its key or token cannot be fetched: /readyz says why");
        }
        backend.standing.connecting().check(&backend.origin.breaker, now)?;
        self.lane.check(&backend.origin.breaker, now)?;
        Ok(())
    }
}

impl Unavailable {
    /// Of two, the one that comes back first.
    fn sooner(self, other: Self) -> Self {
        match (self.until, other.until) {
            (Some(this), Some(that)) if that < this => other,
            (None, Some(_)) => other,
            _ => self,
        }
    }
}

impl From<Away> for Unavailable {
    fn from(away: Away) -> Self {
        let why = if away.is_throttled { "it is throttled" } else { "its circuit is open" };
        Self { until: Some(away.until), is_throttled: away.is_throttled, why }
    }
}

/// A fine-tuned deployment exists once.
fn check_fine_tuned(backends: &[Arc<Backend>]) -> Result<(), Error> {
    for (place, backend) in backends.iter().enumerate() {
        for name in &backend.origin.config.fine_tuned {
            if let Some(other) = backends[..place].iter().find(|other| other.is_fine_tuned(name)) {
                return Err(Error(format!(
                    "fine-tuned deployment `{name}` stands at `{}` and at `{}`: it has one home, take it from the other's fine_tuned",
                    other.id, backend.id
                )));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
