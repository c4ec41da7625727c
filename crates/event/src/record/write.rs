//! The records of every request, written member by member.

use bytes::Bytes;

use super::{Answered, CallerAddress, Closed, Dispatched, Opened};
use crate::object::{ObjectWriter, name};

/// Room for the members of an ordinary record, but for its headers.
const MEMBERS_BYTES: usize = 768;

/// An object with room for so many bytes besides an ordinary record's own.
pub(super) fn object(bytes: usize, write: impl FnOnce(&mut ObjectWriter)) -> Bytes {
    let mut to = ObjectWriter::with_capacity(MEMBERS_BYTES + bytes);
    write(&mut to);
    to.finish()
}

impl Opened {
    pub(super) fn write(&self, to: &mut ObjectWriter) {
        to.number(name!("received_at"), self.received_at.unix_micros());
        to.text(name!("method"), &self.method);
        to.text(name!("url"), &self.url);
        to.text(name!("protocol"), &self.protocol);
        to.text(name!("tls_version"), &self.tls_version);
        to.object(name!("caller"), |to| {
            let CallerAddress { caller_ip, peer_ip, peer_port, .. } = &self.caller;
            to.text(name!("caller_ip"), caller_ip);
            to.text(name!("peer_ip"), peer_ip);
            to.number(name!("peer_port"), *peer_port);
            to.text(name!("forwarded_for"), &self.caller.forwarded_for);
            to.text(name!("certificate_subject"), &self.caller.certificate_subject);
        });
        to.object(name!("target"), |to| {
            let target = &self.target;
            to.text(name!("operation_id"), &target.operation_id);
            to.text(name!("surface_operation_id"), &target.surface_operation_id);
            to.text(name!("surface"), &target.surface);
            to.text(name!("kind"), &target.kind);
            to.text(name!("subkind"), &target.subkind);
            to.text(name!("deployment"), &target.deployment);
            to.text(name!("model"), &target.model);
            to.text(name!("api_version"), &target.api_version);
            to.flag(name!("is_stream"), target.is_stream);
        });
        to.number(name!("head_bytes"), self.head_bytes);
        to.text(name!("product_id"), &self.product_id);
        to.text(name!("subscription_id"), &self.subscription_id);
        to.text(name!("user_id"), &self.user_id);
        to.text(name!("application_id"), &self.application_id);
        to.text(name!("tenant_id"), &self.tenant_id);
        to.list(name!("groups"), &self.groups);
        to.text(name!("region"), &self.region);
        to.number(name!("rules_version"), self.rules_version);
        to.headers(&self.headers);
    }
}

impl Dispatched {
    pub(super) fn write(&self, to: &mut ObjectWriter) {
        to.number(name!("sent_at"), self.sent_at.unix_micros());
        to.number(name!("attempt"), self.attempt);
        to.text(name!("backend_id"), &self.backend_id);
        to.text(name!("method"), &self.method);
        to.text(name!("url"), &self.url);
        to.list(name!("body_changes"), &self.body_changes);
        to.option(name!("dropped_headers"), self.dropped_headers.as_ref());
        to.headers(&self.headers);
    }
}

impl Answered {
    pub(super) fn write(&self, to: &mut ObjectWriter) {
        to.number(name!("answered_at"), self.answered_at.unix_micros());
        to.text(name!("protocol"), &self.protocol);
        to.number(name!("status"), self.status);
        to.number(name!("attempt"), self.attempt);
        to.headers(&self.headers);
    }
}

impl Closed {
    pub(super) fn write(&self, to: &mut ObjectWriter) {
        to.number(name!("closed_at"), self.closed_at.unix_micros());
        to.option(name!("outcome"), Some(&self.outcome));
        to.number(name!("status"), self.status);
        to.number(name!("request_bytes"), self.request_bytes);
        to.number(name!("response_bytes"), self.response_bytes);
        to.number(name!("client_ms"), self.client_ms);
        to.number(name!("backend_ms"), self.backend_ms);
        to.option(name!("first_byte_ms"), self.first_byte_ms.as_ref());
        to.number(name!("overhead_micros"), self.overhead_micros);
        to.number(name!("chunk_gap_ms_max"), self.chunk_gap_ms_max);
        to.number(name!("chunks"), self.chunks);
        to.list(name!("errors"), &self.errors);
        to.text(name!("own_body"), &self.own_body);
        to.option(name!("session"), self.session.as_ref());
        to.option(name!("dropped_headers"), self.dropped_headers.as_ref());
        to.headers(&self.headers);
    }
}
