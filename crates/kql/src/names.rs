//! Suggestions for misspelt names.

/// Longer names get no suggestion: comparing costs the product of the lengths.
const NAME_BYTES_MAX: usize = 100;

/// The candidate most like the name, if any is like enough to be meant.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let wanted = name.to_lowercase();
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let distance = strsim::damerau_levenshtein(&wanted, &candidate.to_lowercase());
        let length = wanted.chars().count();
        let close = distance <= 1 + length / 4 && distance < length;
        if close && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// What to tell whoever wrote a name that is not known: the one that is near, or else where all stand.
pub(crate) fn advice<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
    listed: &str,
) -> Option<String> {
    match nearest(name, candidates) {
        Some(near) => Some(format!("did you mean '{near}'?")),
        None => (!listed.is_empty()).then(|| listed.to_owned()),
    }
}

/// Whether a name matches a pattern in which `*` stands for anything.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}
