//! `gatehouse vault`, `keys password` and `set-up`: secrets. A value comes by standard input and is never
//! shown.

use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::bail;
use vault::{Embedded, Secret};

use crate::arguments::{ConfigFile, VaultCommand};
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
    let config = Config::load(&file.config)?;
    let embedded = Embedded::new(&config.vault.embedded);
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
                let name = &wanted.name;
                let text = format!(
                    "there is no secret `{name}`: `gatehouse vault list` names those there are"
                );
                return Err(ExitWith::error(Exit::Failed, text));
            }
            say(&format!("`{}` is removed", wanted.name));
        }
        VaultCommand::RotateKey(_) => {
            embedded.rotate_key(&[config.acme_shelf()]).map_err(failed)?;
            say("everything is sealed under the new master key");
        }
    }
    Ok(())
}

/// Runs `gatehouse keys password`: only the hash is printed.
pub(crate) fn password() -> anyhow::Result<()> {
    let hash = identity::hash_password(input()?.expose()).map_err(anyhow::Error::msg)?;
    print(&format!("{hash}\n"));
    say("put it where `sign_in.break_glass.password_hash` refers to");
    Ok(())
}

/// Runs `gatehouse set-up`.
pub(crate) fn set_up(file: &ConfigFile) -> anyhow::Result<()> {
    let config = Config::load(&file.config)?;
    let bad = |text: &str| Err(ExitWith::error(Exit::BadConfig, text.to_owned()));
    if config.has_administrator() {
        return bad("admin.roles names an administrator already: sign in as one");
    }
    if !config.has_sign_in() {
        return bad("sign_in: nobody can sign in: give it a client or a break_glass account");
    }
    print(&format!("{}\n", config.new_set_up_link()?));
    say("it holds a day, for one person, while nobody is administrator");
    Ok(())
}

fn input() -> anyhow::Result<Secret> {
    let mut text = String::new();
    std::io::stdin().take(INPUT_BYTES_MAX).read_to_string(&mut text)?;
    // The line end is the terminal's or echo's.
    let length = text.trim_end_matches(['\r', '\n']).len();
    if length == 0 {
        bail!(
            "standard input holds no value: pipe it in, as in `printf %s \"$VALUE\" | gatehouse …`"
        );
    }
    text.truncate(length);
    Ok(Secret::new(text))
}
