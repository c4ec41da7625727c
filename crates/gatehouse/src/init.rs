//! `gatehouse init`: a configuration file to start from.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, bail};
use policy::KeyHasher;

use crate::arguments::InitArguments;
use crate::config::Config;
use crate::keys::random_text;
use crate::secret_file;
use crate::terminal::{print, say};

/// Runs the command: the key of the first subscription is the only thing on standard output.
pub(crate) fn run(arguments: &InitArguments) -> anyhow::Result<()> {
    let file = &arguments.config;
    let folder = file.parent().unwrap_or(Path::new(""));
    if !folder.as_os_str().is_empty() {
        fs::create_dir_all(folder).with_context(|| {
            format!("cannot make {}: choose another place with --config", folder.display())
        })?;
    }
    if file.exists() {
        return Err(exists(file));
    }
    let secret_file = folder.join("gatehouse.secret");
    let secret = existing_or_new_secret(&secret_file)?;
    let key = random_text();
    let hash = KeyHasher::new(secret.as_bytes()).hash(&key);
    let text = template(arguments, &hash.to_string());
    create_new(file, &text)?;
    if let Err(error) = Config::load(file).and_then(|config| config.validate()) {
        fs::remove_file(file)?;
        return Err(error);
    }
    print(&format!("{key}\n"));
    say(&format!(
        "wrote {0} and {1}\n\
         above is the key of subscription `first`: it is shown once and kept nowhere\n\
         next: put the backend's key into the environment variable AZURE_OPENAI_API_KEY, then\n\
         gatehouse serve --config {0}",
        file.display(),
        secret_file.display()
    ));
    Ok(())
}

fn existing_or_new_secret(file: &Path) -> anyhow::Result<String> {
    match fs::read_to_string(file) {
        Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        Ok(_) => bail!("{} is empty: remove it", file.display()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let secret = random_text();
            secret_file::write(file, &secret)?;
            Ok(secret)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

fn create_new(file: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let opened = fs::OpenOptions::new().write(true).create_new(true).open(file);
    let mut opened = opened.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exists(file),
        _ => anyhow::anyhow!("cannot write {}: {error}", file.display()),
    })?;
    opened.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", file.display()))
}

fn template(arguments: &InitArguments, hash: &str) -> String {
    format!(
        "# Gatehouse. `gatehouse config schema` describes every field, `gatehouse config validate`\n\
         # checks this file; GATEHOUSE__SECTION__FIELD in the environment overrides it.\n\
         \n\
         # Ledger, tables and tokens, relative to this file.\n\
         data_dir: data\n\
         \n\
         # Secret under which subscription keys are hashed.\n\
         key_hash_secret:\n  file: gatehouse.secret\n\
         \n\
         edge:\n  listeners:\n    - address: {listen}\n\
         \x20     # tls: {{ certificate_file: cert.pem, key_file: key.pem }}\n\
         \x20 # Proxies whose X-Forwarded-For, Forwarded and PROXY protocol are believed.\n\
         \x20 trusted_proxies: []\n\
         \n\
         backends:\n  - id: first\n    base_url: {url}\n    api_key:\n      env: AZURE_OPENAI_API_KEY\n\
         \n\
         # Networks that backends may lie in; the private networks if this is left out.\n\
         {egress}\n\
         \n\
         # The first start takes these over; then `gatehouse subscription create NAME` makes more.\n\
         subscriptions:\n  - id: first\n    owner: \"\"\n    primary_key_hash: {hash}\n\
         \n\
         # strict: no byte reaches a model before its start is on disk. Or overlap, or relaxed.\n\
         ledger:\n  durability: strict\n",
        listen = arguments.listen,
        url = arguments.backend_url,
        egress = egress(&arguments.backend_url),
    )
}

fn exists(file: &Path) -> anyhow::Error {
    anyhow::anyhow!("{} exists: remove it first, or choose another with --config", file.display())
}

/// A backend on the machine itself is declared, since the default does not.
fn egress(backend_url: &str) -> &'static str {
    let authority = backend_url.split("://").nth(1).unwrap_or_default();
    if authority.starts_with("127.")
        || authority.starts_with("localhost")
        || authority.starts_with("[::1]")
    {
        "egress:\n  allow: [127.0.0.0/8, \"::1/128\"]"
    } else {
        "# egress:\n#   allow: [10.1.2.0/24]"
    }
}
