//! The organisation's users and groups, as its directory provisions them (SCIM): in memory whole, kept in
//! tables of the database.
//!
//! They are no decree: they come by thousands, one by one, and their history is the directory's own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::database::DirectoryRow;
use crate::error::Error;

/// Most users and groups.
const RESOURCES_MAX: usize = 250_000;
/// Most members of all groups together.
const MEMBERS_MAX: usize = 5_000_000;

/// User or group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// A user.
    User,
    /// A group.
    Group,
}

/// A user or a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Id, made here.
    pub id: String,
    /// User or group.
    pub kind: ResourceKind,
    /// What the directory says of it, by the names of SCIM.
    pub attributes: Map<String, Value>,
    /// Ids of a group's members.
    #[serde(default)]
    pub members: BTreeSet<String>,
    /// When it was made, in microseconds since 1970.
    pub created_at_us: i64,
    /// When it was changed the last time, in microseconds since 1970.
    pub changed_at_us: i64,
}

/// What is known of somebody who signs in or calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The directory has not deactivated it.
    pub is_active: bool,
    /// Its groups, by the id that the directory gives them.
    pub groups: Vec<String>,
}

/// The users and groups; clones share them.
#[derive(Clone, Default)]
pub struct Directory(Arc<RwLock<Held>>);

#[derive(Default)]
pub(crate) struct Held {
    pub(crate) generation: i64,
    resources: BTreeMap<String, Arc<Resource>>,
    /// Users by name in lower case.
    by_name: HashMap<String, String>,
    /// Users by the directory's own id.
    by_external_id: HashMap<String, String>,
    /// Groups of each member.
    groups_of: HashMap<String, BTreeSet<String>>,
    members: usize,
}

impl Resource {
    /// `userName` of a user, `displayName` of a group.
    pub fn name(&self) -> &str {
        self.text(match self.kind {
            ResourceKind::User => "userName",
            ResourceKind::Group => "displayName",
        })
    }

    /// The directory's own id; empty if it gives none.
    pub fn external_id(&self) -> &str {
        self.text("externalId")
    }

    /// It is not deactivated.
    pub fn is_active(&self) -> bool {
        self.attributes.get("active").and_then(Value::as_bool).unwrap_or(true)
    }

    fn text(&self, name: &str) -> &str {
        self.attributes.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// What the record of a change shows: of members, only those in `shown`.
    pub(crate) fn shown(&self, name: &str, shown: &BTreeSet<String>) -> Value {
        let mut value = self.attributes.clone();
        if !shown.is_empty() {
            value.insert(name.to_owned(), shown.iter().cloned().collect());
        }
        Value::Object(value)
    }

    pub(crate) fn row(&self) -> Result<DirectoryRow, Error> {
        let document = serde_json::to_string(self).map_err(Error::invalid)?;
        Ok(DirectoryRow { id: self.id.clone(), document })
    }
}

impl Directory {
    /// What is known of somebody, by the directory's id for it or by ours; none if it was never
    /// provisioned.
    pub fn known(&self, id: &str) -> Option<Known> {
        let held = self.read();
        let user = held.user(id)?;
        let groups = held.groups_of.get(&user.id).into_iter().flatten();
        let groups = groups.filter_map(|group| held.resources.get(group));
        let name = |group: &Arc<Resource>| match group.external_id() {
            "" => group.id.clone(),
            id => id.to_owned(),
        };
        Some(Known { is_active: user.is_active(), groups: groups.map(name).collect() })
    }

    /// A user or group by our id.
    pub fn get(&self, kind: ResourceKind, id: &str) -> Option<Arc<Resource>> {
        self.read().get(kind, id)
    }

    /// All of a kind, in the order in which they were made.
    pub fn all(&self, kind: ResourceKind) -> Vec<Arc<Resource>> {
        let held = self.read();
        held.resources.values().filter(|resource| resource.kind == kind).cloned().collect()
    }

    /// The user with this name, whatever its case.
    pub fn user_named(&self, name: &str) -> Option<Arc<Resource>> {
        let held = self.read();
        held.resources.get(held.by_name.get(&name.to_lowercase())?).cloned()
    }

    /// The user with this id of the directory's own.
    pub fn user_with_external_id(&self, id: &str) -> Option<Arc<Resource>> {
        let held = self.read();
        held.resources.get(held.by_external_id.get(id)?).cloned()
    }

    /// The groups of a member.
    pub fn groups_of(&self, id: &str) -> Vec<Arc<Resource>> {
        let held = self.read();
        let groups = held.groups_of.get(id).into_iter().flatten();
        groups.filter_map(|group| held.resources.get(group).cloned()).collect()
    }

    /// All of them, and the generation that they are of.
    pub(crate) fn copy(&self) -> (i64, Vec<Arc<Resource>>) {
        let held = self.read();
        (held.generation, held.resources.values().cloned().collect())
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    pub(crate) fn get(&self, kind: ResourceKind, id: &str) -> Option<Arc<Resource>> {
        self.resources.get(id).filter(|resource| resource.kind == kind).cloned()
    }

    fn user(&self, id: &str) -> Option<&Arc<Resource>> {
        let found = self.by_external_id.get(id).map_or(id, String::as_str);
        self.resources.get(found).filter(|resource| resource.kind == ResourceKind::User)
    }

    /// Checks that a resource may stand beside the others.
    pub(crate) fn check(&self, resource: &Resource) -> Result<(), Error> {
        if resource.name().trim().is_empty() {
            let name = match resource.kind {
                ResourceKind::User => "userName",
                ResourceKind::Group => "displayName",
            };
            return Err(Error::invalid(format!("`{name}` is missing: give it a text")));
        }
        let is_new = !self.resources.contains_key(&resource.id);
        if is_new && self.resources.len() >= RESOURCES_MAX {
            return Err(Error::invalid(format!(
                "there are {RESOURCES_MAX} users and groups already"
            )));
        }
        let before = self.resources.get(&resource.id).map_or(0, |before| before.members.len());
        if self.members - before + resource.members.len() > MEMBERS_MAX {
            return Err(Error::invalid(format!("groups may have {MEMBERS_MAX} members in all")));
        }
        let stranger = resource.members.iter().find(|member| !self.resources.contains_key(*member));
        if let Some(member) = stranger {
            return Err(Error::invalid(format!("member `{member}` is not there: make it first")));
        }
        match resource.kind {
            ResourceKind::User => self.check_user(resource),
            ResourceKind::Group => self.check_group(resource),
        }
    }

    fn check_user(&self, user: &Resource) -> Result<(), Error> {
        let other = |found: Option<&String>| found.is_some_and(|id| *id != user.id);
        if other(self.by_name.get(&user.name().to_lowercase())) {
            return Err(Error::conflict("there is another user with this userName"));
        }
        if other(self.by_external_id.get(user.external_id())) {
            return Err(Error::conflict("there is another user with this externalId"));
        }
        Ok(())
    }

    /// Groups may share a name if the directory tells them apart.
    fn check_group(&self, group: &Resource) -> Result<(), Error> {
        let others = self
            .resources
            .values()
            .filter(|other| other.kind == ResourceKind::Group && other.id != group.id);
        for other in others {
            let (one, two) = (other.external_id(), group.external_id());
            let is_told_apart = !one.is_empty() && !two.is_empty();
            if one == two && !one.is_empty() {
                return Err(Error::conflict("there is another group with this externalId"));
            }
            if !is_told_apart && other.name().eq_ignore_ascii_case(group.name()) {
                return Err(Error::conflict("there is another group with this displayName"));
            }
        }
        Ok(())
    }

    /// The groups that a resource is a member of, without it.
    pub(crate) fn without_member(&self, id: &str) -> Vec<Resource> {
        let groups = self.groups_of.get(id).into_iter().flatten();
        let groups = groups.filter_map(|group| self.resources.get(group));
        let without = groups.map(|group| {
            let mut group = Resource::clone(group);
            group.members.remove(id);
            group
        });
        without.collect()
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes a row over.
    pub(crate) fn take(&mut self, row: &DirectoryRow) -> Result<(), Error> {
        self.remove(&row.id);
        if row.document.is_empty() {
            return Ok(());
        }
        let resource: Resource = serde_json::from_str(&row.document)
            .map_err(|error| Error::invalid(format!("`{}` cannot be read: {error}", row.id)))?;
        if resource.kind == ResourceKind::User {
            self.by_name.insert(resource.name().to_lowercase(), resource.id.clone());
            if !resource.external_id().is_empty() {
                let id = resource.external_id().to_owned();
                self.by_external_id.insert(id, resource.id.clone());
            }
        }
        for member in &resource.members {
            self.groups_of.entry(member.clone()).or_default().insert(resource.id.clone());
        }
        self.members += resource.members.len();
        self.resources.insert(resource.id.clone(), Arc::new(resource));
        Ok(())
    }

    fn remove(&mut self, id: &str) {
        let Some(before) = self.resources.remove(id) else { return };
        if before.kind == ResourceKind::User {
            self.by_name.remove(&before.name().to_lowercase());
            self.by_external_id.remove(before.external_id());
        }
        for member in &before.members {
            if let Some(groups) = self.groups_of.get_mut(member) {
                groups.remove(id);
                if groups.is_empty() {
                    self.groups_of.remove(member);
                }
            }
        }
        self.members -= before.members.len();
    }
}
