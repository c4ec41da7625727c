//! `gatehouse vault`: secrets of the embedded vault. A value comes by standard input and is never shown.

use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

use vault::{Embedded, Secret};

use crate::arguments::VaultCommand;
use crate::config::Config;
use crate::exit::{Exit, ExitWith};
use crate::terminal::{print, say};

/// More than a secret may have.
const INPUT_BYTES_MAX: u64 = 64 << 10;

/// Runs the command.
pub(crate) fn run(command: &VaultCommand) -> anyhow::Result<()> {
    let file = match command {
        VaultCommand::Set(wanted) | VaultCommand::Remove(wanted) => &wanted.file,
        VaultCommand::List(file) | VaultCommand::RotateKey(file) => file,
    };
    let embedded = Embedded::new(&Config::load(&file.config)?.vault.embedded);
    let failed = |error: vault::Error| anyhow::anyhow!(error.story());
    match command {
        VaultCommand::Set(wanted) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            embedded.set(&wanted.name, &input()?, now.as_secs()).map_err(failed)?;
            say(&format!("`{}` is set; refer to it as `vault: {}`", wanted.name, wanted.name));
        }
        VaultCommand::List(_) => {
            let listed = embedded.list().map_err(failed)?;
            print(&format!("{}\n", serde_json::to_string_pretty(&listed)?));
        }
        VaultCommand::Remove(wanted) => {
            if !embedded.remove(&wanted.name).map_err(failed)? {
                let text = format!("there is no secret `{}`", wanted.name);
                return Err(ExitWith::error(Exit::Failed, text));
            }
            say(&format!("`{}` is removed", wanted.name));
        }
        VaultCommand::RotateKey(_) => {
            embedded.rotate_key().map_err(failed)?;
            say("everything is sealed under the new master key");
        }
    }
    Ok(())
}

fn input() -> anyhow::Result<Secret> {
    let mut text = String::new();
    std::io::stdin().take(INPUT_BYTES_MAX).read_to_string(&mut text)?;
    // The line end is the terminal's or echo's.
    let length = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(length);
    Ok(Secret::new(text))
}
