//! Arguments of `gatehouse waf`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::config_file::ConfigFile;

#[derive(Subcommand, Debug)]
pub(crate) enum WafCommand {
    /// Read the rules of the web application firewall, whatever its mode, and list them: those that are run,
    /// and those that are left out and why.
    Check(WafArguments),
    /// Print which rules match a request, with what matched; exit status 3 if it would be refused.
    Test(WafTestArguments),
}

/// Which rules.
#[derive(Args, Debug)]
pub(crate) struct WafArguments {
    #[command(flatten)]
    pub(crate) file: ConfigFile,
    /// Rule files in place of `waf.rules`; `*` in the last part stands for any letters. May be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct WafTestArguments {
    #[command(flatten)]
    pub(crate) rules: WafArguments,
    /// Method.
    #[arg(long, default_value = "GET")]
    pub(crate) method: String,
    /// Path and query, as on the wire.
    #[arg(long, default_value = "/")]
    pub(crate) path: String,
    /// A header, as `name: value`. May be repeated.
    #[arg(long, value_name = "HEADER", value_parser = header)]
    pub(crate) header: Vec<(String, String)>,
    /// A file with the body; its beginning is looked at, as `waf.body_bytes_max` says.
    #[arg(long, value_name = "FILE")]
    pub(crate) body_file: Option<PathBuf>,
    /// Where the request comes from.
    #[arg(long, default_value = "192.0.2.1")]
    pub(crate) address: IpAddr,
}

fn header(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once(':').ok_or("write it as `name: value`")?;
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}
