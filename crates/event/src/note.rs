//! What is recorded beside interactions: what administrators do, who reads content, what endangers
//! the gateway, what alerts say, what a re-rating changed, what the ledger's signer vouches for, what is to be erased.
//!
//! The record is the row: its frame holds the row as JSON, without `LedgerSequence`, which the
//! pipeline fills in. Fields may be added; a changed meaning takes a new `Kind`.

use serde::{Deserialize, Serialize};

use crate::table::note_row;
use crate::{Json, Kind, Money, Timestamp};

/// A record that belongs to no interaction and becomes one row.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// Row of `AdminActions`.
    AdminAction(AdminAction),
    /// Row of `ContentReads`.
    ContentRead(ContentRead),
    /// Row of `SecurityEvents`.
    SecurityEvent(SecurityEvent),
    /// Row of `Alerts`.
    Alert(Alert),
    /// Row of `CostAdjustments`.
    CostAdjustment(CostAdjustment),
    /// Row of `LedgerCheckpoints`.
    LedgerCheckpoint(LedgerCheckpoint),
    /// Row of `Erasures`.
    Erasure(Erasure),
}

note_row! {
    /// One row per change of the desired state or of the running gateway, and per attempt that was denied or failed.
    AdminAction in "AdminActions" {
        /// UTC instant of the action.
        time_generated: Timestamp => "TimeGenerated",
        /// What was done, as noun and verb, such as subscriptions/update, backends/drain or configuration/apply.
        operation_name: String => "OperationName",
        /// Kind of what it was done to, such as subscription.
        target_kind: String => "TargetKind",
        /// Its id.
        target_id: String => "TargetId",
        /// succeeded, denied or failed.
        outcome: String => "Outcome",
        /// Id of who did it: the object id of an Entra identity, the name of a local account, or system.
        principal_id: String => "PrincipalId",
        /// Name of who did it, for people.
        principal_name: String => "PrincipalName",
        /// user, application, local, token or system.
        principal_kind: String => "PrincipalKind",
        /// Roles it was done with, as an array of names.
        roles: Json => "Roles",
        /// Address it came from; empty if from the machine itself.
        caller_ip_address: String => "CallerIpAddress",
        /// Through what: api, portal, cli, scim, file, schedule or job.
        via: String => "Via",
        /// State before, secrets replaced; null if there was none.
        before: Json => "Before",
        /// State after, secrets replaced; null if it is gone.
        after: Json => "After",
        /// Why it was denied or failed, or what the person who did it stated.
        message: String => "Message",
        /// Version of the desired state that came of it; null if it did not change.
        version: Option<i64> => "Version",
        /// Id that ties it to other rows of the same request.
        correlation_id: String => "CorrelationId",
        /// Sequence number of its frame in the ledger.
        ledger_sequence: i64 => "LedgerSequence",
    }
}

note_row! {
    /// One row per look at prompts or completions, written before they were shown.
    ContentRead in "ContentReads" {
        /// UTC instant of the look.
        time_generated: Timestamp => "TimeGenerated",
        /// Id of who looked.
        principal_id: String => "PrincipalId",
        /// Name of who looked, for people.
        principal_name: String => "PrincipalName",
        /// user, application, local, token or system.
        principal_kind: String => "PrincipalKind",
        /// Address it came from; empty if from the machine itself.
        caller_ip_address: String => "CallerIpAddress",
        /// Through what: api, portal, cli, export, schedule (a report) or job (a stream job).
        via: String => "Via",
        /// What for, in the reader's words.
        purpose: String => "Purpose",
        /// Who else approved; empty if nobody had to.
        approver_id: String => "ApproverId",
        /// The query that was asked; empty if one interaction was opened.
        query: String => "Query",
        /// Interaction that was opened; empty if a query was asked.
        interaction_id: String => "InteractionId",
        /// Columns with content that were asked for, as an array of names.
        columns: Json => "Columns",
        /// Id that ties it to other rows of the same request.
        correlation_id: String => "CorrelationId",
        /// Sequence number of its frame in the ledger.
        ledger_sequence: i64 => "LedgerSequence",
    }
}

note_row! {
    /// One row per event that a security team would want to see.
    SecurityEvent in "SecurityEvents" {
        /// UTC instant of the event.
        time_generated: Timestamp => "TimeGenerated",
        /// What happened: egress_denied, address_denied, sign_in, sign_in_failed, sign_out, token_rejected, access_denied, secret_rotated, secret_unavailable, certificate_reloaded, certificate_ordered, set_up, waf_blocked or waf_matched.
        kind: String => "Kind",
        /// informational, warning or critical.
        severity: String => "Severity",
        /// Who it concerns; empty if unknown.
        principal_id: String => "PrincipalId",
        /// Address it came from; empty if none.
        caller_ip_address: String => "CallerIpAddress",
        /// What it was aimed at: a host, a listener, a route, a path, a secret's name.
        target: String => "Target",
        /// Address that was dialled or refused; empty if none.
        target_address: String => "TargetAddress",
        /// Backend it concerns; empty if none.
        backend_id: String => "BackendId",
        /// Why, as a word that does not change.
        reason: String => "Reason",
        /// Why, as a text.
        message: String => "Message",
        /// Like events since the row before that have no rows of their own, because they came too fast.
        unnoted: i64 => "Unnoted",
        /// Region the gateway is in.
        region: String => "Region",
        /// Sequence number of its frame in the ledger.
        ledger_sequence: i64 => "LedgerSequence",
    }
}

note_row! {
    /// One row per change of an alert: it fires, it is resolved, it is delivered or fails to be.
    Alert in "Alerts" {
        /// UTC instant of the change.
        time_generated: Timestamp => "TimeGenerated",
        /// Id of this firing; fired, delivered and resolved rows of one alert share it.
        alert_id: String => "AlertId",
        /// Id of its rule.
        rule_id: String => "RuleId",
        /// Name of its rule.
        rule_name: String => "RuleName",
        /// 0 (critical) to 4 (verbose).
        severity: i32 => "Severity",
        /// Fired, Resolved, Delivered, DeliveryFailed or EvaluationFailed.
        state: String => "State",
        /// Values of the rule's dimensions, as an object.
        dimensions: Json => "Dimensions",
        /// Value that was measured; null if there is none.
        value: Option<f64> => "Value",
        /// Threshold it was held against; null if there is none.
        threshold: Option<f64> => "Threshold",
        /// Start of the window that was looked at; null if none was.
        window_start: Option<Timestamp> => "WindowStart",
        /// End of the window that was looked at; null if none was.
        window_end: Option<Timestamp> => "WindowEnd",
        /// When the alert fired; null if it did not.
        fired_at: Option<Timestamp> => "FiredAt",
        /// Where it was delivered to; empty for other changes.
        target: String => "Target",
        /// What it says.
        message: String => "Message",
        /// Sequence number of its frame in the ledger.
        ledger_sequence: i64 => "LedgerSequence",
    }
}

note_row! {
    /// What a re-rating changed of the cost of one day's calls of one subscription, product, user, model and deployment. Rows of `Interactions` keep what they cost when they were written; cost is the sum of both tables.
    CostAdjustment in "CostAdjustments" {
        /// UTC day whose calls it is about; its first instant.
        time_generated: Timestamp => "TimeGenerated",
        /// UTC instant of the re-rating.
        adjusted_at: Timestamp => "AdjustedAt",
        /// Product of the calls.
        product_id: String => "ProductId",
        /// Subscription of the calls.
        apim_subscription_id: String => "ApimSubscriptionId",
        /// User of the calls.
        user_id: String => "UserId",
        /// Groups of the caller, as an array; null without any.
        caller_groups: Json => "CallerGroups",
        /// Model of the calls.
        model_name: String => "ModelName",
        /// Deployment of the calls.
        deployment_name: String => "DeploymentName",
        /// Calls of that day that were looked at.
        calls: i64 => "Calls",
        /// Calls among them that had no price and have one now.
        priced_calls: i64 => "PricedCalls",
        /// US dollars to be added to what the calls cost before, by their rows and by earlier adjustments; negative if they cost less now.
        cost_usd: Money => "CostUsd",
        /// Version of the prices that hold now.
        price_version: String => "PriceVersion",
        /// Sequence number of its frame in the ledger.
        ledger_sequence: i64 => "LedgerSequence",
    }
}

note_row! {
    /// One row per signature under the ledger. It vouches for every record up to SignedSequence: `gatehouse audit verify` holds it against the chain. Rows kept elsewhere prove that nothing before them was changed or cut off.
    LedgerCheckpoint in "LedgerCheckpoints" {
        /// UTC instant of the signature.
        time_generated: Timestamp => "TimeGenerated",
        /// Identity of the ledger, 32 hexadecimal digits.
        ledger_id: String => "LedgerId",
        /// Sequence number of the last frame it vouches for.
        signed_sequence: i64 => "SignedSequence",
        /// SHA-256 of the chain there, in hexadecimal digits.
        digest: String => "Digest",
        /// Ed25519 public key, in base64. Whether it is the organisation's own, only a copy kept elsewhere tells.
        public_key: String => "PublicKey",
        /// Ed25519 signature, in base64.
        signature: String => "Signature",
        /// Sequence number of its frame in the ledger.
        ledger_sequence: i64 => "LedgerSequence",
    }
}

note_row! {
    /// One row per interaction whose content was ordered to be erased, written before anything is: prompts and answers go from the ledger and from `Interactions`, who called when at what cost stays.
    Erasure in "Erasures" {
        /// UTC instant of the order.
        time_generated: Timestamp => "TimeGenerated",
        /// Id of the order; interactions that were named together share it.
        erasure_id: String => "ErasureId",
        /// The interaction.
        correlation_id: String => "CorrelationId",
        /// Id of who ordered it.
        principal_id: String => "PrincipalId",
        /// Name of who ordered it, for people.
        principal_name: String => "PrincipalName",
        /// user, application, local, token or system.
        principal_kind: String => "PrincipalKind",
        /// Address the order came from; empty if from the machine itself.
        caller_ip_address: String => "CallerIpAddress",
        /// Through what: api, portal or cli.
        via: String => "Via",
        /// Why, in the words of who ordered it.
        purpose: String => "Purpose",
        /// Who else approved; empty if nobody had to.
        approver_id: String => "ApproverId",
        /// Sequence number of its frame in the ledger.
        ledger_sequence: i64 => "LedgerSequence",
    }
}

impl Note {
    /// The kind of its frame.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::AdminAction(_) => Kind::AdminAction,
            Self::ContentRead(_) => Kind::ContentRead,
            Self::SecurityEvent(_) => Kind::SecurityEvent,
            Self::Alert(_) => Kind::Alert,
            Self::CostAdjustment(_) => Kind::CostAdjustment,
            Self::LedgerCheckpoint(_) => Kind::LedgerCheckpoint,
            Self::Erasure(_) => Kind::Erasure,
        }
    }

    /// When it was.
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::AdminAction(note) => note.time_generated,
            Self::ContentRead(note) => note.time_generated,
            Self::SecurityEvent(note) => note.time_generated,
            Self::Alert(note) => note.time_generated,
            Self::CostAdjustment(note) => note.adjusted_at,
            Self::LedgerCheckpoint(note) => note.time_generated,
            Self::Erasure(note) => note.time_generated,
        }
    }

    /// The same row, of the frame with this sequence number.
    pub fn with_sequence(mut self, sequence: i64) -> Self {
        match &mut self {
            Self::AdminAction(note) => note.ledger_sequence = sequence,
            Self::ContentRead(note) => note.ledger_sequence = sequence,
            Self::SecurityEvent(note) => note.ledger_sequence = sequence,
            Self::Alert(note) => note.ledger_sequence = sequence,
            Self::CostAdjustment(note) => note.ledger_sequence = sequence,
            Self::LedgerCheckpoint(note) => note.ledger_sequence = sequence,
            Self::Erasure(note) => note.ledger_sequence = sequence,
        }
        self
    }
}
