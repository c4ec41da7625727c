//! A request as rules see it: the members of each collection.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::action::BodyProcessor;
use crate::body;
use crate::item::{Item, arguments, halves};
use crate::target::{Collection, FACTS};

/// Cookies of one request that rules look at.
pub const COOKIES_MAX: usize = 200;

/// A request to be looked at.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// As received.
    pub method: &'r str,
    /// Path and query, as received.
    pub uri: &'r str,
    /// Such as `HTTP/1.1`.
    pub protocol: &'r str,
    /// Names in lower case, and values.
    pub headers: &'r [(&'r str, &'r [u8])],
    /// Where it comes from.
    pub remote_address: Option<IpAddr>,
    /// What tells it apart from all others.
    pub unique_id: &'r str,
    /// When it came, in microseconds since 1970.
    pub received_unix_micros: u64,
    /// How much of it there is.
    pub body: Body<'r>,
}

/// How much there is of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'r> {
    /// It is still to come: only rules of phase 1 are run.
    Awaited,
    /// It is not looked at: rules of both phases are run on the head.
    Unseen,
    /// Its beginning, or all of it: rules of both phases are run.
    Read {
        /// As the client sent it.
        bytes: &'r [u8],
        /// There is more of it.
        is_partial: bool,
    },
}

/// The members of a collection: of one list or two, their names or their values.
#[derive(Clone, Copy)]
pub(crate) struct View<'f, 'r> {
    /// Each with the number of its first member.
    pub(crate) parts: [(usize, &'f [Item<'r>]); 2],
    pub(crate) shows_names: bool,
}

/// All that is known of a request.
pub(crate) struct Facts<'r> {
    lists: [Vec<Item<'r>>; FACTS],
    /// The number of each list's first member: members of all lists are counted on.
    numbers: [usize; FACTS],
    content_type: &'r [u8],
    body: Body<'r>,
}

impl<'r> Facts<'r> {
    /// What the head tells.
    pub(crate) fn of_head(request: &Request<'r>) -> Self {
        let header = |name: &str| {
            let mut named =
                request.headers.iter().filter(|(one, _)| one.eq_ignore_ascii_case(name));
            named.next().map_or(&b""[..], |(_, value)| *value)
        };
        let mut facts = Self {
            lists: [const { Vec::new() }; FACTS],
            numbers: [0; FACTS],
            content_type: header("content-type"),
            body: request.body,
        };
        let (path, query) = request.uri.split_once('?').unwrap_or((request.uri, ""));
        let base_name = path.rsplit(['/', '\\']).next().unwrap_or_default();
        let line = format!("{} {} {}", request.method, request.uri, request.protocol);
        facts.one(Collection::RequestLine, line.into_bytes());
        for (collection, text) in [
            (Collection::RequestMethod, request.method),
            (Collection::RequestProtocol, request.protocol),
            (Collection::RequestUri, origin_form(request.uri)),
            (Collection::RequestUriRaw, request.uri),
            (Collection::RequestFilename, origin_form(path)),
            (Collection::RequestBasename, base_name),
            (Collection::QueryString, query),
            (Collection::UniqueId, request.unique_id),
        ] {
            facts.one(collection, text.as_bytes());
        }
        let address = request.remote_address.map(|ip| ip.to_canonical().to_string());
        facts.one(Collection::RemoteAddr, address.unwrap_or_default().into_bytes());
        facts.clock(request.received_unix_micros);
        facts.headers(request.headers);
        let (arguments, is_whole) = arguments(query.as_bytes());
        facts.lists[Collection::ArgsGet as usize] = arguments;
        facts.one(Collection::ReqbodyError, if is_whole { "0" } else { "1" }.as_bytes());
        let processor = facts.processor().map_or("", BodyProcessor::name);
        facts.one(Collection::ReqbodyProcessor, processor.as_bytes());
        facts.finish();
        facts
    }

    /// Adds what the body tells: `forced` is how rules want it taken apart, `keeps_raw` whether they
    /// want it as it is.
    pub(crate) fn read_body(&mut self, forced: Option<BodyProcessor>, keeps_raw: bool) {
        let Body::Read { bytes, is_partial } = self.body else { return };
        // Where nothing is said the API reads JSON.
        let unsaid = self.content_type.is_empty().then_some(BodyProcessor::Json);
        let processor = forced.or(self.processor()).or(unsaid);
        let content_type = self.content_type;
        let read = match processor {
            Some(BodyProcessor::Json) => body::json(bytes, is_partial),
            Some(BodyProcessor::Multipart) => body::multipart(bytes, content_type, is_partial),
            Some(BodyProcessor::UrlEncoded) => body::url_encoded(bytes),
            None => body::Parsed::default(),
        };
        if processor.is_some_and(|one| one == BodyProcessor::UrlEncoded) || keeps_raw {
            self.one(Collection::RequestBody, bytes);
        }
        self.one(Collection::RequestBodyLength, bytes.len().to_string().into_bytes());
        self.one(
            Collection::ReqbodyProcessor,
            processor.map_or("", BodyProcessor::name).as_bytes(),
        );
        if read.is_broken {
            self.one(Collection::ReqbodyError, &b"1"[..]);
        }
        let strict =
            if read.is_broken && processor == Some(BodyProcessor::Multipart) { "1" } else { "0" };
        self.one(Collection::MultipartStrictError, strict.as_bytes());
        let total: usize = read.files.iter().map(|file| file.size).sum();
        self.one(Collection::FilesCombinedSize, total.to_string().into_bytes());
        for file in read.files {
            let size = file.size.to_string().into_bytes();
            let name = file.name.clone();
            self.list(Collection::FilesSizes).push(Item { name, value: size.into() });
            self.list(Collection::Files).push(Item { name: file.name, value: file.file_name });
        }
        self.lists[Collection::ArgsPost as usize] = read.arguments;
        self.lists[Collection::MultipartPartHeaders as usize] = read.part_headers;
        self.finish();
    }

    /// The members of a collection.
    pub(crate) fn view(&self, collection: Collection) -> View<'_, 'r> {
        let part =
            |one: Collection| (self.numbers[one as usize], self.lists[one as usize].as_slice());
        let nothing = (0, &[][..]);
        let (first, second, shows_names) = match collection {
            Collection::Args => (part(Collection::ArgsGet), part(Collection::ArgsPost), false),
            Collection::ArgsNames => (part(Collection::ArgsGet), part(Collection::ArgsPost), true),
            Collection::ArgsGetNames => (part(Collection::ArgsGet), nothing, true),
            Collection::ArgsPostNames => (part(Collection::ArgsPost), nothing, true),
            Collection::RequestHeadersNames => (part(Collection::RequestHeaders), nothing, true),
            Collection::RequestCookiesNames => (part(Collection::RequestCookies), nothing, true),
            Collection::FilesNames => (part(Collection::Files), nothing, true),
            fact if (fact as usize) < FACTS => (part(fact), nothing, false),
            _ => (nothing, nothing, false),
        };
        View { parts: [first, second], shows_names }
    }

    /// How the body is taken apart, by its content type. Whatever calls itself JSON is: that is how servers of
    /// the API read it.
    fn processor(&self) -> Option<BodyProcessor> {
        let content_type = self.content_type.to_ascii_lowercase();
        match halves(&content_type, b';').0.trim_ascii() {
            b"application/x-www-form-urlencoded" => Some(BodyProcessor::UrlEncoded),
            b"multipart/form-data" => Some(BodyProcessor::Multipart),
            _ if memchr::memmem::find(&content_type, b"json").is_some() => {
                Some(BodyProcessor::Json)
            }
            _ => None,
        }
    }

    fn headers(&mut self, headers: &'r [(&'r str, &'r [u8])]) {
        let list = headers.iter().map(|(name, value)| Item {
            name: Cow::Borrowed(name.as_bytes()),
            value: Cow::Borrowed(value),
        });
        self.lists[Collection::RequestHeaders as usize] = list.collect();
        let cookies = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
        let pairs = cookies.flat_map(|(_, value)| value.split(|byte| *byte == b';'));
        let pairs = pairs.map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty());
        self.lists[Collection::RequestCookies as usize] = pairs
            .take(COOKIES_MAX)
            .map(|pair| {
                let (name, value) = halves(pair, b'=');
                Item { name: Cow::Borrowed(name), value: Cow::Borrowed(value) }
            })
            .collect();
    }

    /// What follows from all lists together.
    fn finish(&mut self) {
        let arguments = self.view(Collection::Args).parts;
        let all = arguments.iter().flat_map(|(_, items)| items.iter());
        let size: usize = all.map(|item| item.name.len() + item.value.len()).sum();
        self.one(Collection::ArgsCombinedSize, size.to_string().into_bytes());
        let mut number = 0;
        for (first, list) in self.numbers.iter_mut().zip(&self.lists) {
            *first = number;
            number += list.len();
        }
    }

    /// How many members there are in all.
    pub(crate) fn count(&self) -> usize {
        self.lists.iter().map(Vec::len).sum()
    }

    /// In UTC.
    fn clock(&mut self, unix_micros: u64) {
        let seconds = unix_micros / 1_000_000;
        let (days, of_day) = (seconds / 86_400, seconds % 86_400);
        let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        let (year, month, day) = date(days);
        self.one(Collection::Time, format!("{hour:02}:{minute:02}:{second:02}").into_bytes());
        for (collection, number) in [
            // What varies from request to request, for rules that take a sample.
            (Collection::Duration, unix_micros % 1_000_000),
            (Collection::TimeDay, day),
            (Collection::TimeEpoch, seconds),
            (Collection::TimeHour, hour),
            (Collection::TimeMin, minute),
            (Collection::TimeMon, month - 1),
            (Collection::TimeSec, second),
            (Collection::TimeWday, (days + 4) % 7),
            (Collection::TimeYear, year),
        ] {
            self.one(collection, number.to_string().into_bytes());
        }
    }

    fn list(&mut self, collection: Collection) -> &mut Vec<Item<'r>> {
        &mut self.lists[collection as usize]
    }

    /// Sets a collection that has one member.
    fn one(&mut self, collection: Collection, value: impl Into<Cow<'r, [u8]>>) {
        let list = self.list(collection);
        list.clear();
        list.push(Item { name: Cow::Borrowed(b""), value: value.into() });
    }
}

/// Path and query of a target that names a host too, as proxies are sent it.
fn origin_form(target: &str) -> &str {
    match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find('/').map_or("/", |at| &rest[at..])
        }
        _ => target,
    }
}

/// Year, month and day of a day since 1970 in the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    // Counted from the first of March of the year 0, so that leap days come last.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_the_calendars() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(19_782), (2024, 2, 29));
        assert_eq!(date(20_787), (2026, 11, 30));
    }
}
