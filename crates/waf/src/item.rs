//! Members of collections: a name with a value, and how a query or a form writes many.

use std::borrow::Cow;

use crate::transform::Transformation;

/// Arguments that rules look at one by one, of a query and of a form each. What comes behind them is looked at
/// as one argument, and `REQBODY_ERROR` tells of it.
pub const ARGUMENTS_MAX: usize = 128;
/// Values of a JSON body that rules look at; `REQBODY_ERROR` tells of more.
pub const JSON_VALUES_MAX: usize = 1_000;
/// A member of a collection.
#[derive(Clone, Debug)]
pub(crate) struct Item<'r> {
    pub(crate) name: Cow<'r, [u8]>,
    pub(crate) value: Cow<'r, [u8]>,
}

/// Arguments as a form or a query writes them, and whether each of them stands by itself.
pub(crate) fn arguments(text: &[u8]) -> (Vec<Item<'_>>, bool) {
    let decode = |part| Transformation::UrlDecode.apply(part);
    let mut arguments = Vec::new();
    let mut rest = text;
    while !rest.is_empty() && arguments.len() < ARGUMENTS_MAX {
        let (pair, after) = halves(rest, b'&');
        rest = after;
        if !pair.is_empty() {
            let (name, value) = halves(pair, b'=');
            arguments.push(Item { name: decode(name), value: decode(value) });
        }
    }
    let is_whole = rest.is_empty();
    if !is_whole {
        arguments.push(Item { name: Cow::Borrowed(b""), value: decode(rest) });
    }
    (arguments, is_whole)
}

/// What stands before and after the first such byte.
pub(crate) fn halves(text: &[u8], at: u8) -> (&[u8], &[u8]) {
    match memchr::memchr(at, text) {
        Some(place) => (&text[..place], &text[place + 1..]),
        None => (text, b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_behind_many_arguments_is_one() {
        let query = "a=1&".repeat(ARGUMENTS_MAX);
        let (found, is_whole) = arguments(query.as_bytes());
        assert!(found.len() == ARGUMENTS_MAX && is_whole);
        let query = query + "b=2&c=%33";
        let (found, is_whole) = arguments(query.as_bytes());
        assert!(found.len() == ARGUMENTS_MAX + 1 && !is_whole);
        assert_eq!(&*found[ARGUMENTS_MAX].value, b"b=2&c=3");
    }
}
