//! Faults on demand: what a test asks a request, or the whole instance, to do wrong.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Something that goes wrong, for one request (header `x-sim-fault`, several separated by commas)
/// or for all of them ([`Simulator::set_fault`](crate::Simulator::set_fault)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// `refuse` (instance only): the port is closed, open connections are dropped.
    Refuse,
    /// `reset` (instance only): connections are accepted and closed at once, open ones are dropped.
    Reset,
    /// `status=503` or `status=429;retry-after-ms=1500`: an error answer instead of the work.
    Status {
        /// HTTP status, 400 to 599.
        status: u16,
        /// Sent as `retry-after` (seconds, rounded up) and `retry-after-ms`.
        retry_after: Option<Duration>,
    },
    /// `cut-after=N`: the connection breaks after N bytes of the answer's body.
    CutAfter(u64),
    /// `stall=ms`: the body pauses after its first event or half of its bytes.
    Stall(Duration),
    /// `drip=bytes/ms`: so many bytes of the body, a pause, and so on.
    Drip {
        /// Bytes in a drop.
        bytes: usize,
        /// Pause between drops.
        every: Duration,
    },
    /// `malformed-sse`: a stream carries lines that are neither an event nor JSON.
    MalformedSse,
    /// `malformed-json`: the JSON text ends half-way, in sound HTTP framing.
    MalformedJson,
    /// `mid-stream-error`: the stream ends with an error object instead of its end.
    MidStreamError,
    /// `reset-before-head`: the connection closes when the whole request was read, without an answer.
    ResetBeforeHead,
    /// `slow-head=ms`: the status line comes late.
    SlowHead(Duration),
    /// `no-usage`: the answer has no usage figures.
    NoUsage,
    /// `duplicate-usage`: a stream carries its usage chunk twice.
    DuplicateUsage,
    /// `close=1011`: a WebSocket is closed with this code after the first delta of an answer.
    Close(u16),
}

/// A fault that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultError {
    text: String,
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown or malformed fault `{}`", self.text)
    }
}

impl std::error::Error for FaultError {}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        parse(text.trim()).ok_or_else(|| FaultError { text: text.trim().to_owned() })
    }
}

fn parse(text: &str) -> Option<Fault> {
    let (name, value) =
        text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    Some(match (name, value) {
        ("refuse", None) => Fault::Refuse,
        ("reset", None) => Fault::Reset,
        ("malformed-sse", None) => Fault::MalformedSse,
        ("malformed-json", None) => Fault::MalformedJson,
        ("mid-stream-error", None) => Fault::MidStreamError,
        ("reset-before-head", None) => Fault::ResetBeforeHead,
        ("no-usage", None) => Fault::NoUsage,
        ("duplicate-usage", None) => Fault::DuplicateUsage,
        ("close", Some(value)) => {
            Fault::Close(value.parse().ok().filter(|code| (1000..5000).contains(code))?)
        }
        ("cut-after", Some(value)) => Fault::CutAfter(value.parse().ok()?),
        ("stall", Some(value)) => Fault::Stall(milliseconds(value)?),
        ("slow-head", Some(value)) => Fault::SlowHead(milliseconds(value)?),
        ("drip", Some(value)) => {
            let (bytes, every) = value.split_once('/')?;
            let bytes = bytes.parse().ok().filter(|bytes| *bytes > 0)?;
            Fault::Drip { bytes, every: milliseconds(every)? }
        }
        ("status", Some(value)) => status(value)?,
        _ => return None,
    })
}

fn status(value: &str) -> Option<Fault> {
    let (status, rest) =
        value.split_once(';').map_or((value, None), |(status, rest)| (status, Some(rest)));
    let status = status.parse().ok().filter(|status| (400..600).contains(status))?;
    let retry_after = match rest {
        Some(rest) => Some(milliseconds(rest.trim().strip_prefix("retry-after-ms=")?)?),
        None => None,
    };
    Some(Fault::Status { status, retry_after })
}

/// At most a day, so that no timer overflows.
fn milliseconds(text: &str) -> Option<Duration> {
    text.parse().ok().filter(|ms| *ms <= 86_400_000).map(Duration::from_millis)
}

/// All faults that apply to one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    list: Vec<Fault>,
}

impl Faults {
    /// Reads the request's header and adds the instance's own fault.
    pub(crate) fn read(header: Option<&str>, instance: Option<&Fault>) -> Result<Self, FaultError> {
        let mut list: Vec<Fault> = instance.cloned().into_iter().collect();
        for text in header.into_iter().flat_map(|header| header.split(',')) {
            list.push(text.parse()?);
        }
        Ok(Self { list })
    }

    pub(crate) fn has(&self, fault: &Fault) -> bool {
        self.list.contains(fault)
    }

    pub(crate) fn slow_head(&self) -> Option<Duration> {
        self.list
            .iter()
            .find_map(|fault| if let Fault::SlowHead(wait) = fault { Some(*wait) } else { None })
    }

    pub(crate) fn status(&self) -> Option<(u16, Option<Duration>)> {
        self.list.iter().find_map(|fault| {
            if let Fault::Status { status, retry_after } = fault {
                Some((*status, *retry_after))
            } else {
                None
            }
        })
    }

    pub(crate) fn cut_after(&self) -> Option<u64> {
        self.list
            .iter()
            .find_map(|fault| if let Fault::CutAfter(bytes) = fault { Some(*bytes) } else { None })
    }

    pub(crate) fn stall(&self) -> Option<Duration> {
        self.list
            .iter()
            .find_map(|fault| if let Fault::Stall(wait) = fault { Some(*wait) } else { None })
    }

    pub(crate) fn close(&self) -> Option<u16> {
        self.list
            .iter()
            .find_map(|fault| if let Fault::Close(code) = fault { Some(*code) } else { None })
    }

    pub(crate) fn drip(&self) -> Option<(usize, Duration)> {
        self.list.iter().find_map(|fault| {
            if let Fault::Drip { bytes, every } = fault { Some((*bytes, *every)) } else { None }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_reads_from_its_header_text() {
        let faults =
            Faults::read(Some("cut-after=10, stall=5,drip=3/2"), Some(&Fault::NoUsage)).unwrap();
        assert_eq!(faults.cut_after(), Some(10));
        assert_eq!(faults.stall(), Some(Duration::from_millis(5)));
        assert_eq!(faults.drip(), Some((3, Duration::from_millis(2))));
        assert!(faults.has(&Fault::NoUsage));
        let rate = "status=429;retry-after-ms=1500".parse::<Fault>().unwrap();
        assert_eq!(
            rate,
            Fault::Status { status: 429, retry_after: Some(Duration::from_millis(1500)) }
        );
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for text in
            ["", "cut-after", "drip=0/5", "status=200", "status=429;later", "stall=99999999999"]
        {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
        assert_eq!(
            "boom".parse::<Fault>().unwrap_err().to_string(),
            "unknown or malformed fault `boom`"
        );
    }
}
