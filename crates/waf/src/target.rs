//! What a rule looks at: a collection, one of its members, their number, or all but some.

use regex::bytes::{Regex, RegexBuilder};

use crate::problem;

/// Where values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Collection {
    Args,
    ArgsCombinedSize,
    ArgsGet,
    ArgsGetNames,
    ArgsNames,
    ArgsPost,
    ArgsPostNames,
    Duration,
    Files,
    FilesCombinedSize,
    FilesNames,
    FilesSizes,
    MultipartPartHeaders,
    MultipartStrictError,
    QueryString,
    RemoteAddr,
    ReqbodyError,
    ReqbodyProcessor,
    RequestBasename,
    RequestBody,
    RequestBodyLength,
    RequestCookies,
    RequestCookiesNames,
    RequestFilename,
    RequestHeaders,
    RequestHeadersNames,
    RequestLine,
    RequestMethod,
    RequestProtocol,
    RequestUri,
    RequestUriRaw,
    Time,
    TimeDay,
    TimeEpoch,
    TimeHour,
    TimeMin,
    TimeMon,
    TimeSec,
    TimeWday,
    TimeYear,
    UniqueId,
    // These are no facts of the request: they come to be while rules run.
    Tx,
    Rule,
    MatchedVar,
    MatchedVarName,
    MatchedVars,
    MatchedVarsNames,
    /// Known, and always without members.
    Empty,
}

/// How many collections are facts of the request: those before `Tx`.
pub(crate) const FACTS: usize = Collection::Tx as usize;

const NAMES: &[(&str, Collection)] = &[
    ("ARGS", Collection::Args),
    ("ARGS_COMBINED_SIZE", Collection::ArgsCombinedSize),
    ("ARGS_GET", Collection::ArgsGet),
    ("ARGS_GET_NAMES", Collection::ArgsGetNames),
    ("ARGS_NAMES", Collection::ArgsNames),
    ("ARGS_POST", Collection::ArgsPost),
    ("ARGS_POST_NAMES", Collection::ArgsPostNames),
    ("DURATION", Collection::Duration),
    ("FILES", Collection::Files),
    ("FILES_COMBINED_SIZE", Collection::FilesCombinedSize),
    ("FILES_NAMES", Collection::FilesNames),
    ("FILES_SIZES", Collection::FilesSizes),
    ("MATCHED_VAR", Collection::MatchedVar),
    ("MATCHED_VARS", Collection::MatchedVars),
    ("MATCHED_VARS_NAMES", Collection::MatchedVarsNames),
    ("MATCHED_VAR_NAME", Collection::MatchedVarName),
    ("MULTIPART_PART_HEADERS", Collection::MultipartPartHeaders),
    ("MULTIPART_STRICT_ERROR", Collection::MultipartStrictError),
    ("QUERY_STRING", Collection::QueryString),
    ("REMOTE_ADDR", Collection::RemoteAddr),
    ("REQBODY_ERROR", Collection::ReqbodyError),
    ("REQBODY_PROCESSOR", Collection::ReqbodyProcessor),
    ("REQUEST_BASENAME", Collection::RequestBasename),
    ("REQUEST_BODY", Collection::RequestBody),
    ("REQUEST_BODY_LENGTH", Collection::RequestBodyLength),
    ("REQUEST_COOKIES", Collection::RequestCookies),
    ("REQUEST_COOKIES_NAMES", Collection::RequestCookiesNames),
    ("REQUEST_FILENAME", Collection::RequestFilename),
    ("REQUEST_HEADERS", Collection::RequestHeaders),
    ("REQUEST_HEADERS_NAMES", Collection::RequestHeadersNames),
    ("REQUEST_LINE", Collection::RequestLine),
    ("REQUEST_METHOD", Collection::RequestMethod),
    ("REQUEST_PROTOCOL", Collection::RequestProtocol),
    ("REQUEST_URI", Collection::RequestUri),
    ("REQUEST_URI_RAW", Collection::RequestUriRaw),
    ("RULE", Collection::Rule),
    ("TIME", Collection::Time),
    ("TIME_DAY", Collection::TimeDay),
    ("TIME_EPOCH", Collection::TimeEpoch),
    ("TIME_HOUR", Collection::TimeHour),
    ("TIME_MIN", Collection::TimeMin),
    ("TIME_MON", Collection::TimeMon),
    ("TIME_SEC", Collection::TimeSec),
    ("TIME_WDAY", Collection::TimeWday),
    ("TIME_YEAR", Collection::TimeYear),
    ("TX", Collection::Tx),
    ("UNIQUE_ID", Collection::UniqueId),
];

/// Variables of SecLang that never hold anything here: collections kept between requests, what stands in
/// answers, and what belongs to other servers.
const EMPTY: &[&str] = &[
    "AUTH_TYPE",
    "ENV",
    "FILES_TMPNAMES",
    "FILES_TMP_CONTENT",
    "FULL_REQUEST",
    "FULL_REQUEST_LENGTH",
    "GEO",
    "GLOBAL",
    "HIGHEST_SEVERITY",
    "INBOUND_DATA_ERROR",
    "IP",
    "MODSEC_BUILD",
    "MSC_PCRE_ERROR",
    "MSC_PCRE_LIMITS_EXCEEDED",
    "MULTIPART_BOUNDARY_QUOTED",
    "MULTIPART_BOUNDARY_WHITESPACE",
    "MULTIPART_CRLF_LF_LINES",
    "MULTIPART_DATA_AFTER",
    "MULTIPART_DATA_BEFORE",
    "MULTIPART_FILE_LIMIT_EXCEEDED",
    "MULTIPART_FILENAME",
    "MULTIPART_HEADER_FOLDING",
    "MULTIPART_INVALID_HEADER_FOLDING",
    "MULTIPART_INVALID_PART",
    "MULTIPART_INVALID_QUOTING",
    "MULTIPART_LF_LINE",
    "MULTIPART_MISSING_SEMICOLON",
    "MULTIPART_NAME",
    "MULTIPART_SEMICOLON_MISSING",
    "MULTIPART_UNMATCHED_BOUNDARY",
    "OUTBOUND_DATA_ERROR",
    "PATH_INFO",
    "REMOTE_HOST",
    "REMOTE_PORT",
    "REMOTE_USER",
    "REQBODY_ERROR_MSG",
    "REQBODY_PROCESSOR_ERROR",
    "REQBODY_PROCESSOR_ERROR_MSG",
    "RESOURCE",
    "RESPONSE_ARGS",
    "RESPONSE_BODY",
    "RESPONSE_CONTENT_LENGTH",
    "RESPONSE_CONTENT_TYPE",
    "RESPONSE_HEADERS",
    "RESPONSE_HEADERS_NAMES",
    "RESPONSE_PROTOCOL",
    "RESPONSE_STATUS",
    "SERVER_ADDR",
    "SERVER_NAME",
    "SERVER_PORT",
    "SESSION",
    "SESSIONID",
    "STATUS_LINE",
    "URLENCODED_ERROR",
    "USER",
    "USERID",
    "WEBAPPID",
    "WEBSERVER_ERROR_LOG",
    "XML",
];

impl Collection {
    /// By the name that rules give it.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let upper = name.to_ascii_uppercase();
        if let Ok(at) = NAMES.binary_search_by(|(known, _)| (*known).cmp(&upper)) {
            return Ok(NAMES[at].1);
        }
        if EMPTY.contains(&upper.as_str()) {
            return Ok(Self::Empty);
        }
        let known = NAMES.iter().map(|(name, _)| *name).chain(EMPTY.iter().copied());
        Err(problem::unknown("variable", name, known))
    }

    /// As rules call it.
    pub(crate) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, one)| *one == self).map_or("EMPTY", |(name, _)| name)
    }

    /// Its members' names are what the caller sent, not only their values.
    pub(crate) fn is_of_names(self) -> bool {
        matches!(
            self,
            Self::ArgsNames
                | Self::ArgsGetNames
                | Self::ArgsPostNames
                | Self::FilesNames
                | Self::RequestCookiesNames
                | Self::RequestHeadersNames
                | Self::MatchedVarsNames
        )
    }
}

/// Which members of a collection.
#[derive(Clone, Debug)]
pub(crate) enum Member {
    All,
    /// In any case.
    Named(String),
    Matching(Regex),
}

/// A collection, or some of its members.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) collection: Collection,
    pub(crate) member: Member,
    /// The number of members, not their values.
    pub(crate) counts: bool,
}

/// What a rule looks at, and what of that it passes over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Targets {
    pub(crate) wanted: Vec<Target>,
    pub(crate) excluded: Vec<Target>,
}

impl Targets {
    /// `A|B:name|!C:/pattern/|&D`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut targets = Self::default();
        for piece in pieces(text) {
            targets.add(piece)?;
        }
        Ok(targets)
    }

    /// Adds one target, or an exclusion where it begins with `!`.
    pub(crate) fn add(&mut self, piece: &str) -> Result<(), String> {
        match piece.strip_prefix('!') {
            Some(excluded) => self.excluded.push(Target::parse(excluded)?),
            None => self.wanted.push(Target::parse(piece)?),
        }
        Ok(())
    }
}

/// Cuts at `|` and `,`, but not within `/…/`.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut in_pattern = false;
    let mut before = ' ';
    let cut = move |letter: char| {
        let opens = letter == '/' && (in_pattern || matches!(before, ':' | '\''));
        if opens && before != '\\' {
            in_pattern = !in_pattern;
        }
        before = letter;
        matches!(letter, '|' | ',') && !in_pattern
    };
    text.split(cut).map(str::trim).filter(|piece| !piece.is_empty())
}

impl Target {
    /// `NAME`, `NAME:member`, `NAME:/pattern/`, or one of them after `&`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (counts, text) = match text.strip_prefix('&') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (name, member) = match text.split_once([':', '.']) {
            Some((name, member)) => (name, member.trim_matches('\'')),
            None => (text, ""),
        };
        let collection = Collection::named(name)?;
        let pattern = member.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        let member = match pattern {
            Some(pattern) => Member::Matching(member_pattern(pattern)?),
            None if member.is_empty() || collection == Collection::Empty => Member::All,
            None => Member::Named(member.to_ascii_lowercase()),
        };
        Ok(Self { collection, member, counts })
    }

    /// Whether it covers a member of its collection.
    pub(crate) fn covers(&self, name: &[u8]) -> bool {
        match &self.member {
            Member::All => true,
            Member::Named(wanted) => wanted.as_bytes().eq_ignore_ascii_case(name),
            Member::Matching(pattern) => pattern.is_match(name),
        }
    }
}

fn member_pattern(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(&pattern.replace("\\/", "/"))
        .unicode(false)
        .case_insensitive(true)
        .build();
    built.map_err(|error| format!("the pattern /{pattern}/ of a variable cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_order_so_that_they_are_found() {
        assert!(NAMES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (name, collection) in NAMES {
            assert_eq!(Collection::named(name), Ok(*collection));
        }
    }

    #[test]
    fn targets_name_members_patterns_counts_and_exclusions() {
        let targets = Targets::parse("ARGS|REQUEST_COOKIES:Id|!ARGS:/a|b/|&tx:x|XML:/*").unwrap();
        assert_eq!(targets.wanted.len(), 4);
        assert!(targets.wanted[1].covers(b"iD") && !targets.wanted[1].covers(b"i"));
        assert!(targets.wanted[2].counts);
        assert!(targets.excluded[0].covers(b"xBx") && !targets.excluded[0].covers(b"c"));
    }

    #[test]
    fn an_unknown_variable_is_told_with_the_nearest() {
        let error = Targets::parse("REQUEST_HEADRES").unwrap_err();
        assert!(error.ends_with("did you mean `REQUEST_HEADERS`?"), "{error}");
    }
}
