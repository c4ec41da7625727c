//! What the organisation's directory says of those who come with a token.

/// The organisation's directory; whoever keeps it implements this. It is asked for each request.
pub trait Directory: Send + Sync {
    /// What is known of somebody; none if the directory never named it.
    fn user(&self, id: &str) -> Option<DirectoryUser>;
}

/// What the directory says of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryUser {
    /// It may sign in and call.
    pub is_active: bool,
    /// Its groups, beside those of its token.
    pub groups: Vec<String>,
}
