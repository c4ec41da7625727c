//! Certificates that an authority issues by ACME.

use gateway::{Acme, AcmeWiring, OrderedCertificates, TlsConfig};
use shared::SecurityLog;
use vault::{Embedded, EmbeddedConfig, Vault};

use super::Config;
use crate::exit::{Exit, ExitWith};

impl Config {
    /// Who orders them.
    pub(crate) fn acme(
        &self,
        ordered: &OrderedCertificates,
        security: &SecurityLog,
        vault: &Vault,
    ) -> anyhow::Result<Acme> {
        if !self.acme_hosts().is_empty() {
            // Its master key seals what is kept: none is made beside a vault that has lost it.
            let vault = Embedded::new(&self.vault.embedded).list();
            vault.and_then(|_| self.acme_shelf().prepare()).map_err(|error| {
                let fix = "what is ordered is sealed under `vault.embedded.master_key`";
                ExitWith::error(Exit::BadConfig, format!("acme: {}: {fix}", error.story()))
            })?;
        }
        let wiring = AcmeWiring {
            rules: security.egress(&self.acme.egress, &self.region),
            vault: vault.clone(),
            kept: self.acme_shelf(),
            ordered: ordered.clone(),
            security: security.clone(),
            region: self.region.clone(),
        };
        Ok(Acme::new(&self.acme, &self.acme_hosts(), wiring)?)
    }

    /// What is kept of them, sealed under the master key of the embedded vault.
    pub(crate) fn acme_shelf(&self) -> Embedded {
        let file = self.data_dir.join("acme.sealed");
        Embedded::new(&EmbeddedConfig { file, ..self.vault.embedded.clone() })
    }

    pub(super) fn check_tls(&self) -> anyhow::Result<()> {
        let bad = |why: String| ExitWith::error(Exit::BadConfig, why);
        for listener in &self.edge.listeners {
            let checked = listener.tls.as_ref().map_or(Ok(()), TlsConfig::validate);
            checked
                .map_err(|error| bad(format!("edge.listeners: {}: {error}", listener.address)))?;
        }
        if self.admin_tls.as_ref().is_some_and(|tls| !tls.acme_hosts.is_empty()) {
            let text =
                "admin_tls: acme_hosts is for edge.listeners: give certificate_file and key_file";
            return Err(bad(text.to_owned()));
        }
        self.acme.validate(&self.acme_hosts()).map_err(|why| bad(format!("acme: {why}")))
    }

    /// The hosts of each listener that wants a certificate.
    fn acme_hosts(&self) -> Vec<Vec<String>> {
        let tls = self.edge.listeners.iter().filter_map(|listener| listener.tls.as_ref());
        tls.map(|tls| tls.acme_hosts.clone()).filter(|hosts| !hosts.is_empty()).collect()
    }
}
