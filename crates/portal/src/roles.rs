//! Which roles somebody holds, by groups and app roles.

use std::collections::BTreeSet;

use identity::Identity;
use policy::{Member, Principal, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who holds a role: whoever one of the lists names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleConfig {
    /// The role.
    pub role: Role,
    /// Groups whose members hold it, by id.
    #[serde(default)]
    pub groups: Vec<String>,
    /// App roles that bring it.
    #[serde(default)]
    pub app_roles: Vec<String>,
    /// People and programs who hold it, by id.
    #[serde(default)]
    pub users: Vec<String>,
}

/// Who an identity is on the admin listener.
pub(crate) fn principal(identity: &Identity, mapping: &[RoleConfig]) -> Principal {
    let member = &identity.member;
    Principal {
        id: member.user_id.clone(),
        name: identity.name.clone(),
        kind: identity.kind,
        tenant: identity.tenant.clone(),
        groups: member.groups.clone(),
        roles: roles_of(member, mapping),
        subscriptions: vec![policy::member_subscription(member)],
    }
}

/// Somebody is administrator by these.
pub fn has_administrator(mapping: &[RoleConfig]) -> bool {
    mapping.iter().any(|config| {
        let names = [&config.groups, &config.app_roles, &config.users];
        config.role == Role::Administrator && names.iter().any(|names| !names.is_empty())
    })
}

fn roles_of(member: &Member, mapping: &[RoleConfig]) -> BTreeSet<Role> {
    let any = |ids: &[String], of: &[String]| ids.iter().any(|id| of.contains(id));
    let holds = |role: &&RoleConfig| {
        role.users.contains(&member.user_id)
            || any(&member.groups, &role.groups)
            || any(&member.app_roles, &role.app_roles)
    };
    mapping.iter().filter(holds).map(|role| role.role).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_add_up_from_groups_app_roles_and_ids_and_nobody_holds_one_by_default() {
        let of = |role, groups: &[&str], app_roles: &[&str], users: &[&str]| {
            let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect();
            RoleConfig {
                role,
                groups: texts(groups),
                app_roles: texts(app_roles),
                users: texts(users),
            }
        };
        let mapping = [
            of(Role::Operator, &["g1"], &[], &[]),
            of(Role::UsageReader, &[], &["Usage.Read"], &[]),
            of(Role::Administrator, &[], &[], &["ann"]),
            of(Role::ContentReader, &[], &[], &[]),
        ];
        let mut member = Member { user_id: "bob".into(), ..Member::default() };
        assert!(roles_of(&member, &mapping).is_empty());
        assert!(roles_of(&Member::default(), &mapping).is_empty());
        member.groups = vec!["g1".into()];
        member.app_roles = vec!["Usage.Read".into()];
        assert_eq!(roles_of(&member, &mapping), [Role::Operator, Role::UsageReader].into());
        member.user_id = "ann".into();
        assert!(roles_of(&member, &mapping).contains(&Role::Administrator));
    }
}
