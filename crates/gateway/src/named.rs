//! The objects that a request names.

use openai::{Identified, ObjectKind, ObjectRole, Peek};

/// The objects that a request names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named {
    pub(crate) role: ObjectRole,
    /// The first id of the path, where it is an object's.
    pub(crate) pinned: Option<String>,
    /// The last id of the path.
    pub(crate) last: Option<String>,
    /// Those in the body.
    pub(crate) in_body: Vec<(ObjectKind, String)>,
    /// `store`.
    pub(crate) store: Option<bool>,
    /// There are more in the body than are looked at.
    pub(crate) too_many: bool,
}

impl Named {
    pub(crate) fn in_path(found: &Identified<'_>) -> Self {
        let role = found.operation.map(|operation| operation.role).unwrap_or_default();
        let pinned = role.pinned.and_then(|_| found.ids.first()).map(str::to_owned);
        let last = role.deletes.and_then(|_| found.ids.iter().last());
        Self { role, pinned, last: last.map(|(_, id)| id.to_owned()), ..Self::default() }
    }

    /// Takes over what the body names.
    pub(crate) fn learn(&mut self, peek: &Peek) {
        self.store = peek.store;
        self.too_many = peek.too_many_references;
        self.in_body.clear();
        let members = [
            (ObjectKind::Response, &peek.previous_response_id),
            (ObjectKind::Conversation, &peek.conversation),
            (ObjectKind::Assistant, &peek.assistant_id),
            (ObjectKind::File, &peek.input_file_id),
            (ObjectKind::File, &peek.training_file),
        ];
        for (kind, id) in members {
            self.in_body.extend(id.iter().map(|id| (kind, id.clone())));
        }
        for id in &peek.references {
            let kind = ObjectKind::of_id(id).unwrap_or(ObjectKind::Item);
            self.in_body.push((kind, id.clone()));
        }
    }

    /// Whether a form may name objects that its answer is made of. The others only bring files, which
    /// pass as they come.
    pub(crate) fn may_be_in_form(&self) -> bool {
        use ObjectKind as K;
        matches!(self.role.creates, Some(K::Voice | K::Video | K::ContainerFile))
    }

    /// Whether the request names this id.
    pub(crate) fn names(&self, id: &str) -> bool {
        self.pinned.as_deref() == Some(id) || self.in_body.iter().any(|(_, named)| named == id)
    }

    /// Its answer may tell ids of new objects.
    pub(crate) fn teaches(&self) -> bool {
        match self.role.creates {
            Some(ObjectKind::Completion) => self.store == Some(true),
            Some(ObjectKind::Response) => self.store != Some(false),
            Some(_) => true,
            None => self.role.pinned.is_some(),
        }
    }
}
