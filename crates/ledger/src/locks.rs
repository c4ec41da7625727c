//! Locks that nothing panics under.

pub(crate) const LOCK: &str = "nothing panics while it holds this lock";
