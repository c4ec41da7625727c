//! `gatehouse keys create`: a key for a caller, its hash for the configuration.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::arguments::KeysCreateArguments;
use crate::config::Config;
use crate::terminal::{print, say};

/// Random bytes of a key: 256 bits.
const KEY_BYTES: usize = 32;

/// A new random secret as text without characters that need quoting.
pub(crate) fn random_text() -> String {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).expect("a system without randomness cannot make secrets");
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Runs the command. The key is printed once and kept nowhere.
pub(crate) fn create(arguments: &KeysCreateArguments) -> anyhow::Result<()> {
    let config = Config::load_whole(&arguments.file.config)?;
    let hasher = config.hasher()?;
    let key = random_text();
    let hash = hasher.hash(&key);
    let id = &arguments.subscription;
    print(&format!("{key}\n"));
    say("that is the key: it is shown once and kept nowhere");
    let known = config.subscriptions.iter().find(|subscription| &subscription.id == id);
    let file = arguments.file.config.display();
    match known {
        None => {
            // YAML takes text as JSON writes it.
            let id = serde_json::to_string(id)?;
            say(&format!(
                "add to `subscriptions` in {file}:\n\n  - id: {id}\n    primary_key_hash: {hash}\n"
            ));
        }
        Some(subscription) => {
            let field = if subscription.secondary_key_hash.is_empty() {
                "secondary_key_hash"
            } else {
                "primary_key_hash or secondary_key_hash, whichever you retire,"
            };
            say(&format!("set {field} of subscription `{id}` in {file} to:\n\n    {hash}\n"));
        }
    }
    say(
        "with `control.source: file` the running gateway takes it up; otherwise the file is read only at the\n\
         first start, and `gatehouse subscription create` or `rotate` makes keys of a running gateway",
    );
    Ok(())
}
