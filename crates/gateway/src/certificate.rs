//! The subject of a client certificate, as text (RFC 4514), and how long a certificate holds. The library has
//! checked it; here it is only read, and what cannot be read is left out.

use std::time::SystemTime;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Longest subject that is recorded.
const SUBJECT_BYTES_MAX: usize = 1_024;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Attributes that have a short name, by their DER.
const NAMES: [(&[u8], &str); 10] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
];

/// The subject, last part first; empty if the certificate has none.
pub(crate) fn subject(certificate: &[u8]) -> String {
    let mut parts = parts(certificate).unwrap_or_default();
    parts.reverse();
    let mut text = parts.join(",");
    let mut end = text.len().min(SUBJECT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// When it begins to hold, and when it ends.
pub(crate) fn validity(certificate: &[u8]) -> Option<(SystemTime, SystemTime)> {
    let (times, _) = inside(from_validity(certificate)?, SEQUENCE)?;
    let (tag, begin, rest) = take(times)?;
    let begins_at = time(tag, begin)?;
    let (tag, end, _) = take(rest)?;
    Some((begins_at, time(tag, end)?))
}

/// `YYMMDDHHMMSSZ` until 2049, `YYYYMMDDHHMMSSZ` after (RFC 5280, section 4.1.2.5).
fn time(tag: u8, digits: &[u8]) -> Option<SystemTime> {
    let digits = std::str::from_utf8(digits).ok()?.strip_suffix('Z')?;
    let digits = match tag {
        UTC_TIME if digits.get(..2)? < "50" => format!("20{digits}"),
        UTC_TIME => format!("19{digits}"),
        GENERALIZED_TIME => digits.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%S", digits).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().into())
}

/// What is signed, from the validity on.
fn from_validity(certificate: &[u8]) -> Option<&[u8]> {
    let (fields, _) = inside(certificate, SEQUENCE)?;
    let mut signed = inside(fields, SEQUENCE)?.0;
    if signed.first() == Some(&VERSION) {
        signed = take(signed)?.2;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        signed = take(signed)?.2;
    }
    Some(signed)
}

fn parts(certificate: &[u8]) -> Option<Vec<String>> {
    let (_, _, subject) = take(from_validity(certificate)?)?;
    let mut sets = inside(subject, SEQUENCE)?.0;
    let mut parts = Vec::new();
    while !sets.is_empty() {
        let (mut attributes, rest) = inside(sets, SET)?;
        sets = rest;
        let mut together = Vec::new();
        while !attributes.is_empty() {
            let (attribute, rest) = inside(attributes, SEQUENCE)?;
            attributes = rest;
            let (id, value) = inside(attribute, OBJECT_ID)?;
            let (_, value, _) = take(value)?;
            together.push(format!("{}={}", name(id), escaped(value)));
        }
        parts.push(together.join("+"));
    }
    Some(parts)
}

/// Tag, content and what follows of the first value.
fn take(data: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = data.split_first()?;
    let (&length, rest) = rest.split_first()?;
    if length < 0x80 {
        let (content, rest) = rest.split_at_checked(usize::from(length))?;
        return Some((tag, content, rest));
    }
    let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
    if digits.is_empty() || digits.len() > 4 {
        return None;
    }
    let length = digits.iter().fold(0, |sum, &digit| (sum << 8) | usize::from(digit));
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn inside(data: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    take(data).filter(|(found, ..)| *found == tag).map(|(_, content, rest)| (content, rest))
}

fn name(id: &[u8]) -> String {
    if let Some((_, name)) = NAMES.iter().find(|(known, _)| *known == id) {
        return (*name).to_owned();
    }
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn escaped(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for letter in String::from_utf8_lossy(value).chars() {
        if letter.is_control() {
            text.push('\u{fffd}');
            continue;
        }
        if ",+\"\\<>;=".contains(letter) {
            text.push('\\');
        }
        text.push(letter);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_read_and_what_is_cut_off_is_none() {
        let mut params = rcgen::CertificateParams::new(vec!["host".into()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "A, B");
        params.distinguished_name.push(rcgen::DnType::CommonName, "näme\n");
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        assert_eq!(subject(certificate.der()), "CN=näme\u{fffd},O=A\\, B");
        for end in 0..certificate.der().len() {
            let _ = subject(&certificate.der()[..end]);
        }
        assert_eq!(subject(b"no certificate"), "");
    }

    #[test]
    fn how_long_a_certificate_holds_is_read_on_both_sides_of_2050() {
        let mut params = rcgen::CertificateParams::new(vec!["host".into()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 11, 29);
        params.not_after = rcgen::date_time_ymd(2051, 2, 28);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let seconds = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let (begin, end) = validity(certificate.der()).unwrap();
        assert_eq!((seconds(begin), seconds(end)), (1_795_910_400, 2_561_155_200));
        for end in 0..certificate.der().len() {
            let _ = validity(&certificate.der()[..end]);
        }
        assert_eq!(time(UTC_TIME, b"261332000000Z"), None);
    }
}
