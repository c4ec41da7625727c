//! A path in segments, and the ids found in it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Longest path looked at; the longest known one has ten segments.
pub(crate) const SEGMENTS_MAX: usize = 16;
/// Most ids that one path can hold; the operations have four.
pub(crate) const IDS_MAX: usize = 6;

/// A path in its non-empty segments, as received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segments<'a> {
    path: &'a str,
    segments: [&'a str; SEGMENTS_MAX],
    count: usize,
    /// There were more than [`SEGMENTS_MAX`].
    pub(crate) overflowed: bool,
    /// It holds capitals or percent signs, so that words may hide behind other spellings.
    pub(crate) is_odd: bool,
}

impl<'a> Segments<'a> {
    pub(crate) fn new(path: &'a str) -> Self {
        let odd = |found, byte: &u8| found | (*byte == b'%') | byte.is_ascii_uppercase();
        let mut all = Self {
            path,
            segments: [""; SEGMENTS_MAX],
            count: 0,
            overflowed: false,
            is_odd: path.as_bytes().iter().fold(false, odd),
        };
        let mut start = 0;
        for end in memchr::memchr_iter(b'/', path.as_bytes()).chain([path.len()]) {
            if end > start {
                if all.count == SEGMENTS_MAX {
                    all.overflowed = true;
                    break;
                }
                all.segments[all.count] = &path[start..end];
                all.count += 1;
            }
            start = end + 1;
        }
        all
    }

    pub(crate) fn as_slice(&self) -> &[&'a str] {
        &self.segments[..self.count]
    }

    /// The segment is this word, as it stands or spelled otherwise.
    pub(crate) fn is(&self, at: usize, word: &str) -> bool {
        let segment = self.get(at);
        segment == word || (self.is_odd && is_word(segment, word))
    }

    pub(crate) fn get(&self, at: usize) -> &'a str {
        if at < self.count { self.segments[at] } else { "" }
    }

    /// The path from this segment on, without a leading slash.
    pub(crate) fn tail(&self, at: usize) -> &'a str {
        if at >= self.count {
            return "";
        }
        let offset = self.segments[at].as_ptr().addr() - self.path.as_ptr().addr();
        &self.path[offset..]
    }
}

/// A segment equals a fixed word: as it stands, in another case, or percent-encoded.
pub(crate) fn is_word(segment: &str, word: &str) -> bool {
    segment.eq_ignore_ascii_case(word)
        || (segment.contains('%') && decode(segment).eq_ignore_ascii_case(word))
}

/// Percent-decodes; what is no UTF-8 afterwards is replaced.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if text.contains('%') { percent_decode_str(text).decode_utf8_lossy() } else { text.into() }
}

/// Ids of objects in a path, in their order, with the names the operation gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathIds<'a> {
    ids: [Option<(&'a str, Cow<'a, str>)>; IDS_MAX],
}

impl<'a> PathIds<'a> {
    pub(crate) fn push(&mut self, name: &'a str, value: Cow<'a, str>) {
        if let Some(free) = self.ids.iter_mut().find(|id| id.is_none()) {
            *free = Some((name, value));
        }
    }

    /// The id of this name, such as `thread_id`. Names have underscores, whatever the template has.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The first id of the path: the one that decides the home of the call.
    pub fn first(&self) -> Option<&str> {
        self.iter().next().map(|(_, value)| value)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.ids.iter().map_while(|id| id.as_ref().map(|(name, value)| (*name, value.as_ref())))
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.ids[0].is_none()
    }
}
