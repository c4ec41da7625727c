//! How one backend is probed, as Application Gateway has it: settings that were found good.

use http::HeaderValue;

use crate::config::ProbeConfig;

/// Longest text that can be looked for, as Application Gateway has it.
const CONTAINS_BYTES_MAX: usize = 4_090;
/// How one backend is probed.
pub(crate) struct Probe {
    pub(super) config: ProbeConfig,
    pub(super) host: Option<HeaderValue>,
    pub(super) healthy: Vec<(u16, u16)>,
}

impl Probe {
    /// The error names the field and the fix.
    pub(crate) fn new(config: &ProbeConfig) -> Result<Self, String> {
        let healthy: Option<Vec<_>> =
            config.healthy_status.iter().map(|text| status_range(text)).collect();
        let healthy =
            healthy.ok_or("probe.healthy_status takes statuses such as `401` or `200-399`")?;
        if !config.path.starts_with('/') {
            return Err(format!("probe.path is `{}`; it begins with `/`", config.path));
        }
        if config.body_contains.len() > CONTAINS_BYTES_MAX {
            return Err(format!("probe.body_contains is longer than {CONTAINS_BYTES_MAX} bytes"));
        }
        let host =
            match config.host.as_str() {
                "" => None,
                host => Some(HeaderValue::from_str(host).map_err(|_| {
                    format!("probe.host is `{host}`, which no `Host` header can hold")
                })?),
            };
        Ok(Self { config: config.clone(), host, healthy })
    }
}

fn status_range(text: &str) -> Option<(u16, u16)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    Some((low.trim().parse().ok()?, high.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_work_are_refused_with_the_fix() {
        assert_eq!(status_range("200-399"), Some((200, 399)));
        assert_eq!(status_range("401"), Some((401, 401)));
        let refused = |change: fn(&mut ProbeConfig)| {
            let mut config = ProbeConfig::default();
            change(&mut config);
            Probe::new(&config).err().expect("refused")
        };
        assert!(refused(|probe| probe.healthy_status = vec!["x".into()]).contains("200-399"));
        assert!(refused(|probe| probe.path = "status".into()).contains("begins with `/`"));
        assert!(refused(|probe| probe.host = "a\nb".into()).contains("probe.host"));
        assert!(refused(|probe| probe.body_contains = "x".repeat(5_000)).contains("4090"));
    }
}
