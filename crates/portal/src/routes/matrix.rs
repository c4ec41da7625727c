//! The matrix route × role, as a table in Markdown.

use policy::Role;

use super::{Allow, Route};

/// Who may call what: a line for each route, a column for each role.
#[cfg_attr(not(test), expect(dead_code, reason = "a test writes docs/access.md with it"))]
pub(super) fn render(table: &[Route]) -> String {
    let mut page = String::from("| route | nobody | signed in |");
    for role in Role::ALL {
        page.push_str(&format!(" {} |", role.name().replace('_', " ")));
    }
    page.push_str("\n|---|---|---|");
    page.push_str(&"---|".repeat(Role::ALL.len()));
    page.push('\n');
    for route in table {
        page.push_str(&format!("| `{} {}` |", route.method, route.path));
        page.push_str(mark(route.allow == Allow::Everybody));
        page.push_str(mark(matches!(route.allow, Allow::Everybody | Allow::SignedIn)));
        for role in Role::ALL {
            page.push_str(mark(allows(route.allow, role)));
        }
        page.push('\n');
    }
    page
}

/// Somebody in this role alone may call it.
pub(super) fn allows(allow: Allow, role: Role) -> bool {
    match allow {
        Allow::Everybody | Allow::SignedIn => true,
        Allow::Roles(roles) => roles.contains(&role),
    }
}

const fn mark(is_allowed: bool) -> &'static str {
    if is_allowed { " yes |" } else { "  |" }
}
