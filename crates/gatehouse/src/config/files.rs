//! The files that a configuration names.

use std::path::{Path, PathBuf};

use gateway::{TlsConfig, WafMode};
use vault::{Identity, MasterKey, SecretRef};

use super::Config;

impl Config {
    /// Files whose change makes a reload worth while, beside the configuration itself.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let keys = self.backends.iter().filter_map(|backend| backend.api_key.as_ref());
        let identities = self.backends.iter().filter_map(|backend| backend.auth.as_ref());
        let keys = keys.chain(identities.filter_map(Identity::secret));
        let mut files =
            self.files_of(keys.chain([&self.key_hash_secret]).chain(&self.checkpoints.signing_key));
        files.extend(named(&self.prices_file));
        files.extend(self.waf_files());
        let tls = self.edge.listeners.iter().filter_map(|listener| listener.tls.as_ref());
        files.extend(tls.chain(&self.admin_tls).flat_map(TlsConfig::files));
        files.extend(self.backends.iter().flat_map(|backend| backend.connection.files()));
        files
    }

    /// Rule files of the firewall, with the data files of the rules in force. (What a pattern stands for is looked
    /// up each time: a file that is added is seen.)
    fn waf_files(&self) -> Vec<PathBuf> {
        if self.waf.mode == WafMode::Off {
            return Vec::new();
        }
        let rules = self.waf_rules.get().and_then(Option::as_ref);
        let known = rules.map_or(&[][..], |rules| rules.files());
        let mut files = self.waf.files().unwrap_or_default();
        files
            .extend(known.iter().filter(|file| !files.contains(file)).cloned().collect::<Vec<_>>());
        files
    }

    /// Every file that it names.
    #[cfg(target_os = "linux")]
    pub(crate) fn all_files(&self) -> Vec<PathBuf> {
        let mut files = self.files();
        let one = [
            &self.control.password,
            &self.redis.password,
            &self.proxy.password,
            &self.mail.password,
            &self.scim.token,
            &self.vault.openbao.token,
        ];
        let clients =
            self.sign_in.clients.iter().filter_map(|client| client.client_secret.as_ref());
        let references = (one.into_iter().flatten())
            .chain(clients)
            .chain(self.sign_in.break_glass.as_ref().map(|account| &account.password_hash))
            .chain(self.vault.openbao.app_role.as_ref().map(|role| &role.secret_id))
            .chain(self.acme.external_account.as_ref().map(|account| &account.key))
            .chain(self.alerts.sinks.iter().flat_map(monitor::SinkConfig::secrets))
            .chain(self.sinks.iter().flat_map(sinks::SinkConfig::secrets))
            .chain(self.otlp.secret_headers.values());
        files.extend(self.files_of(references));
        files.push(self.vault.embedded.file.clone());
        if let MasterKey::File(file) | MasterKey::PassphraseFile(file) =
            &self.vault.embedded.master_key
        {
            files.push(file.clone());
        }
        let backends = self.backends.iter().filter_map(|backend| backend.auth.as_ref());
        let identities = backends
            .chain(self.graph.iter().map(|entry| &entry.auth))
            .chain(self.sinks.iter().filter_map(|sink| sink.auth.as_ref()))
            .chain(&self.vault.key_vault.auth);
        for identity in identities {
            match identity {
                Identity::WorkloadIdentity(config) => files.extend(named(&config.token_file)),
                identity => files.extend(self.files_of(identity.secret().into_iter())),
            }
        }
        let authorities = [&self.redis.ca_file, &self.otlp.ca_file, &self.mail.ca_file];
        let authorities =
            authorities.into_iter().chain(self.alerts.sinks.iter().map(|sink| &sink.ca_file));
        files.extend(authorities.flat_map(|file| named(file)));
        let providers = self.identity.providers.iter().map(|provider| &provider.connection);
        let vaults = [
            &self.vault.key_vault.connection,
            &self.vault.openbao.connection,
            &self.acme.connection,
        ];
        let sinks = self.sinks.iter().map(|sink| &sink.connection);
        files
            .extend(providers.chain(vaults).chain(sinks).flat_map(|connection| connection.files()));
        files
    }

    fn files_of<'a>(&self, references: impl Iterator<Item = &'a SecretRef>) -> Vec<PathBuf> {
        let file = |reference: &SecretRef| match reference {
            SecretRef::File(path) => Some(path.clone()),
            SecretRef::Vault(_) => Some(self.vault.embedded.file.clone()),
            _ => None,
        };
        references.filter_map(file).collect()
    }
}

/// The file, if one is named.
fn named(file: &Path) -> Option<PathBuf> {
    (!file.as_os_str().is_empty()).then(|| file.to_owned())
}
