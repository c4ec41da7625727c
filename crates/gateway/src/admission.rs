//! Whether a request may pass: by where it comes from, by what its key or token may do, and by what
//! its head and its body ask for.

use std::net::IpAddr;

use event::SecurityEvent;
use http::header;
use http::request::Parts;
use policy::{DenialReason, Grant, Member};

use crate::asked::Asked;
use crate::exchange::Exchange;
use crate::live::Live;
use crate::refusal::{Kind, Refusal};
use crate::{credential, doctor};

impl Exchange {
    pub(crate) fn check_ledger(&self) -> Result<(), Refusal> {
        if self.gateway.ledger.ready() {
            return Ok(());
        }
        Err(Refusal::new(Kind::LedgerDown).detail(self.gateway.ledger_reason()))
    }

    /// The listener is for the caller's network.
    pub(crate) fn check_listener(&self) -> Result<(), Refusal> {
        let networks = &self.listener.networks;
        if networks.is_open() || networks.admits(self.caller_ip()) {
            return Ok(());
        }
        Err(self.address_denied(&self.listener.address.to_string(), "listener"))
    }

    /// The product is for the caller's network.
    pub(crate) fn check_product(&self, grant: &Grant) -> Result<(), Refusal> {
        let rules = &self.live.rules;
        if !rules.has_networks() || rules.admits(&grant.product_id, self.caller_ip()) {
            return Ok(());
        }
        Err(self.address_denied(&grant.product_id, "product"))
    }

    fn caller_ip(&self) -> Option<IpAddr> {
        self.opening.as_ref()?.caller.caller_ip.parse().ok()
    }

    /// Who comes from where nobody may is told to the security team.
    fn address_denied(&self, target: &str, reason: &str) -> Refusal {
        let event = self.security_event("address_denied", reason);
        let caller = &event.caller_ip_address;
        let message = format!("{caller} is outside the networks of {reason} {target}");
        self.gateway.security.note(SecurityEvent {
            target: target.to_owned(),
            message: message.clone(),
            ..event
        });
        Refusal::new(Kind::CallerAddress).detail(message)
    }

    pub(crate) fn authenticate(&mut self, parts: &Parts, asked: &Asked) -> Result<Grant, Refusal> {
        let admitted = self.admit(parts, asked, &asked.target.deployment);
        match &admitted {
            Ok(grant) => self.note_grant(grant),
            Err(_) => {
                let key = credential::find(&parts.headers, parts.uri.query());
                let rules = &self.live.rules;
                let account = match self.member() {
                    Some(member) => Some(policy::account_of_member(rules, member)),
                    None => key.and_then(|key| policy::account(rules, &key)),
                };
                account.iter().for_each(|account| self.note_grant(account));
            }
        }
        match (admitted, &asked.refusal) {
            // What a URL is wrong about is more helpful than that its operation is not allowed.
            (Ok(_), Some(refusal)) => Err(refusal.clone()),
            (Err(denied), Some(refusal)) if denied.status() == 403 => Err(refusal.clone()),
            (admitted, _) => admitted,
        }
    }

    fn admit(&self, parts: &Parts, asked: &Asked, deployment: &str) -> Result<Grant, Refusal> {
        let key = credential::find(&parts.headers, parts.uri.query());
        let caller = (key.as_deref(), self.member());
        admit(&self.live, caller, asked, deployment).map_err(|refusal| {
            let is_known = |key: &str| policy::account(&self.live.rules, key).is_some();
            let are_groups_missing = || self.identity.as_ref().is_some_and(|it| it.groups_missing);
            match refusal.kind {
                Kind::ProductNotGranted if are_groups_missing() => {
                    refusal.finding("GroupsUnresolved")
                }
                Kind::KeyMissing | Kind::KeyInvalid => {
                    doctor::key(refusal, &parts.headers, parts.uri.query(), &is_known)
                }
                _ => refusal,
            }
        })
    }

    pub(crate) fn check_head(&self, parts: &Parts, asked: &Asked) -> Result<(), Refusal> {
        let length = parts.headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > self.body_limits().bytes_max) {
            return Err(Refusal::new(Kind::BodyTooLarge));
        }
        // A deployment in the path is known to be missing before the body is asked for.
        if !asked.target.deployment.is_empty() {
            self.check_served(parts, asked)?;
        }
        if asked.lacks_version() && self.live.pool.is_azure(asked.deployment()) {
            return Err(doctor::api_version(&asked.target.api_version));
        }
        Ok(())
    }

    /// The body may have named the deployment: whether the caller may use it, and whether it exists.
    pub(crate) fn check_deployment(
        &self,
        parts: &Parts,
        asked: &Asked,
        grant: Grant,
    ) -> Result<Grant, Refusal> {
        let named = asked.deployment();
        if named.is_empty() || asked.has_path_deployment() {
            return Ok(grant);
        }
        let grant = self.admit(parts, asked, named)?;
        self.check_served(parts, asked)?;
        Ok(grant)
    }

    fn check_served(&self, parts: &Parts, asked: &Asked) -> Result<(), Refusal> {
        let deployment = asked.deployment();
        if self.live.pool.knows(deployment) || self.gateway.objects.model(deployment).is_some() {
            return Ok(());
        }
        let key = credential::find(&parts.headers, parts.uri.query());
        let operation_id = &asked.target.operation_id;
        let (key, member) = (key.as_deref(), self.member());
        let request = policy::Request { key, member, operation_id, deployment };
        Err(doctor::unknown_deployment(deployment, &usable(&self.live, &request)))
    }

    pub(crate) fn note_target(&mut self, asked: &Asked) {
        if let Some(opening) = &mut self.opening {
            opening.target.clone_from(&asked.target);
        }
    }

    /// What the body has told besides.
    pub(crate) fn note_body(&mut self, asked: &Asked) {
        if let Some(opening) = &mut self.opening {
            opening.target.deployment.clone_from(&asked.target.deployment);
            opening.target.model.clone_from(&asked.target.model);
            opening.target.is_stream = asked.target.is_stream;
        }
    }

    fn note_grant(&mut self, grant: &Grant) {
        self.body_bytes_max = grant.allowance.body_bytes_max.unwrap_or(u64::MAX);
        if let Some(opening) = &mut self.opening {
            opening.product_id.clone_from(&grant.product_id);
            opening.subscription_id.clone_from(&grant.subscription_id);
            opening.user_id.clone_from(&grant.user_id);
            opening.rules_version = grant.rules_version;
        }
    }
}

/// Whether the rules let the holder of this key, or whom a token proves, do that.
pub(crate) fn admit(
    live: &Live,
    (key, member): (Option<&str>, Option<&Member>),
    asked: &Asked,
    deployment: &str,
) -> Result<Grant, Refusal> {
    let operation_id = &asked.target.operation_id;
    let request = policy::Request { key, member, operation_id, deployment };
    policy::admit(&live.rules, &request).map_err(|denial| match denial.reason {
        DenialReason::KeyMissing => Refusal::new(Kind::KeyMissing),
        DenialReason::KeyUnknown => Refusal::new(Kind::KeyInvalid),
        DenialReason::SubscriptionInactive => {
            Refusal::new(Kind::KeyInvalid).finding("SubscriptionInactive")
        }
        DenialReason::NoProduct => Refusal::new(Kind::ProductNotGranted),
        DenialReason::OperationNotAllowed => Refusal::new(Kind::OperationNotAllowed),
        DenialReason::DeploymentNotAllowed => {
            doctor::forbidden_deployment(deployment, &usable(live, &request))
        }
    })
}

/// Deployments that backends serve and that the caller may use for this.
fn usable<'a>(live: &'a Live, request: &policy::Request<'_>) -> Vec<&'a str> {
    let is_usable = |deployment: &&str| {
        policy::admit(&live.rules, &policy::Request { deployment, ..*request }).is_ok()
    };
    live.pool.deployments().into_iter().filter(is_usable).collect()
}
