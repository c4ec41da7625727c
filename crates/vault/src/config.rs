//! Settings of the homes of secrets, and of identities at Microsoft Entra ID.

use std::path::{Path, PathBuf};

use net::{ClientConfig, EgressConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, SecretRef};

/// The homes where secrets live, beside environment and files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VaultConfig {
    /// The embedded vault: a sealed file beside the configuration.
    pub embedded: EmbeddedConfig,
    /// Azure Key Vault.
    pub key_vault: KeyVaultConfig,
    /// OpenBao or HashiCorp Vault.
    pub openbao: OpenbaoConfig,
    /// Seconds after which a secret is fetched again, 1 to 86,400. While its home does not answer, the
    /// one before is used.
    pub refresh_s: u64,
    /// Networks that vaults and token endpoints may lie in, apart from those of backends.
    pub egress: EgressConfig,
}

impl Default for VaultConfig {
    fn default() -> Self {
        Self {
            embedded: EmbeddedConfig::default(),
            key_vault: KeyVaultConfig::default(),
            openbao: OpenbaoConfig::default(),
            refresh_s: 300,
            egress: EgressConfig::default(),
        }
    }
}

/// The embedded vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddedConfig {
    /// The sealed file; the first `gatehouse vault set` makes it.
    pub file: PathBuf,
    /// Where the key is found that opens it.
    pub master_key: MasterKey,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self {
            file: "gatehouse.vault".into(),
            master_key: MasterKey::File("gatehouse.vault-key".into()),
        }
    }
}

/// Where the key of the embedded vault is found. It may be several, one a line: the first seals, each
/// opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MasterKey {
    /// File with a random key; the first `gatehouse vault set` makes it.
    File(PathBuf),
    /// Environment variable with a random key of at least 32 characters.
    Env(String),
    /// Credential that systemd hands over (`LoadCredential=`), by its name: a random key.
    Credential(String),
    /// File with a passphrase of at least 12 characters.
    PassphraseFile(PathBuf),
    /// Environment variable with a passphrase of at least 12 characters.
    PassphraseEnv(String),
}

/// Azure Key Vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeyVaultConfig {
    /// As whom it is asked; needs the permission to get secrets.
    pub auth: Option<Identity>,
    /// End of the host name of Key Vaults that are named without a URL.
    pub dns_suffix: String,
    /// Scope of the token.
    pub scope: String,
    /// How it is connected to.
    pub connection: ClientConfig,
}

impl Default for KeyVaultConfig {
    fn default() -> Self {
        Self {
            auth: None,
            dns_suffix: "vault.azure.net".into(),
            scope: "https://vault.azure.net/.default".into(),
            connection: ClientConfig::default(),
        }
    }
}

/// OpenBao or HashiCorp Vault.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OpenbaoConfig {
    /// Its URL, such as `https://vault.internal:8200`; empty if there is none.
    pub address: String,
    /// Namespace; empty for the root.
    pub namespace: String,
    /// Where a token is found, not in OpenBao; it is renewed while it is renewable.
    pub token: Option<SecretRef>,
    /// Login by AppRole, in place of a token.
    pub app_role: Option<AppRoleConfig>,
    /// How it is connected to.
    pub connection: ClientConfig,
}

/// Login by AppRole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppRoleConfig {
    /// Id of the role.
    pub role_id: String,
    /// Where the secret id is found, not in OpenBao.
    pub secret_id: SecretRef,
    /// Where the login is mounted.
    #[serde(default = "approle")]
    pub mount: String,
}

fn approle() -> String {
    "approle".to_owned()
}

/// An identity at Microsoft Entra ID.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Identity {
    /// An application with a client secret.
    ClientSecret(ClientSecretConfig),
    /// An application with a client certificate.
    ClientCertificate(CertificateConfig),
    /// The managed identity of the machine, container or App Service.
    ManagedIdentity(ManagedIdentityConfig),
    /// A federated token, as Kubernetes hands it over.
    WorkloadIdentity(WorkloadIdentityConfig),
}

/// An application with a client secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientSecretConfig {
    /// Directory (tenant) id.
    pub tenant: String,
    /// Application (client) id.
    pub client_id: String,
    /// Where the client secret is found; not in a home that is asked as this identity.
    pub secret: SecretRef,
    /// Where tokens are issued.
    #[serde(default = "public_authority")]
    pub authority: String,
}

/// An application with a client certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateConfig {
    /// Directory (tenant) id.
    pub tenant: String,
    /// Application (client) id.
    pub client_id: String,
    /// Where a PEM text with certificate and RSA key is found; not in a home that is asked as this
    /// identity.
    pub certificate: SecretRef,
    /// Where tokens are issued.
    #[serde(default = "public_authority")]
    pub authority: String,
}

/// The managed identity of the machine, container or App Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ManagedIdentityConfig {
    /// Client id of a user-assigned identity; empty for the system-assigned one.
    pub client_id: String,
    /// Token endpoint; empty for what `IDENTITY_ENDPOINT` names (App Service, Container Apps), or else
    /// for the machine's metadata service at 169.254.169.254, which this setting declares.
    pub endpoint: String,
}

/// A federated token, as Kubernetes hands it over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorkloadIdentityConfig {
    /// Directory (tenant) id; empty for `AZURE_TENANT_ID`.
    pub tenant: String,
    /// Application (client) id; empty for `AZURE_CLIENT_ID`.
    pub client_id: String,
    /// File with the federated token; empty for `AZURE_FEDERATED_TOKEN_FILE`.
    pub token_file: PathBuf,
    /// Where tokens are issued; empty for `AZURE_AUTHORITY_HOST`, or else the public cloud.
    pub authority: String,
}

pub(crate) fn public_authority() -> String {
    "https://login.microsoftonline.com".to_owned()
}

impl VaultConfig {
    /// What the homes on other machines are asked with.
    pub(crate) fn logins(&self) -> impl Iterator<Item = &SecretRef> {
        self.key_vault_login().into_iter().chain(self.openbao_login())
    }

    /// Each home can be asked without asking it first.
    pub(crate) fn check_logins(&self) -> Result<(), Error> {
        let in_key_vault =
            |login: Option<&SecretRef>| matches!(login, Some(SecretRef::KeyVault { .. }));
        let in_openbao =
            |login: Option<&SecretRef>| matches!(login, Some(SecretRef::Openbao { .. }));
        let circle = if in_key_vault(self.key_vault_login()) {
            "vault.key_vault.auth: its secret is in Azure Key Vault itself"
        } else if in_openbao(self.openbao_login()) {
            "vault.openbao: its login is in OpenBao itself"
        } else if in_openbao(self.key_vault_login()) && in_key_vault(self.openbao_login()) {
            "vault.key_vault.auth and vault.openbao: each has its secret in the other"
        } else {
            return Ok(());
        };
        let text = format!("{circle}: put it where no login is needed: env, file or vault");
        Err(Error::new(ErrorKind::Config, text))
    }

    fn key_vault_login(&self) -> Option<&SecretRef> {
        self.key_vault.auth.as_ref().and_then(Identity::secret)
    }

    fn openbao_login(&self) -> Option<&SecretRef> {
        let role = self.openbao.app_role.as_ref().map(|role| &role.secret_id);
        self.openbao.token.as_ref().or(role)
    }

    /// Makes paths relative to the folder of the configuration.
    pub fn resolve_paths(&mut self, folder: &Path) {
        let join = |path: &mut PathBuf| {
            if !path.as_os_str().is_empty() {
                *path = folder.join(&path);
            }
        };
        join(&mut self.embedded.file);
        if let MasterKey::File(path) | MasterKey::PassphraseFile(path) =
            &mut self.embedded.master_key
        {
            join(path);
        }
        for connection in [&mut self.key_vault.connection, &mut self.openbao.connection] {
            connection.resolve_paths(folder);
        }
        let references = [
            self.openbao.token.as_mut(),
            self.openbao.app_role.as_mut().map(|role| &mut role.secret_id),
        ];
        for reference in references.into_iter().flatten() {
            reference.resolve_path(folder);
        }
        if let Some(identity) = &mut self.key_vault.auth {
            identity.resolve_paths(folder);
        }
    }
}

impl Identity {
    /// Makes paths relative to the folder of the configuration.
    pub fn resolve_paths(&mut self, folder: &Path) {
        match self {
            Self::ClientSecret(config) => config.secret.resolve_path(folder),
            Self::ClientCertificate(config) => config.certificate.resolve_path(folder),
            Self::WorkloadIdentity(config) if !config.token_file.as_os_str().is_empty() => {
                config.token_file = folder.join(&config.token_file);
            }
            Self::WorkloadIdentity(_) | Self::ManagedIdentity(_) => {}
        }
    }

    /// What proves it; none where the platform vouches for it.
    pub const fn secret(&self) -> Option<&SecretRef> {
        match self {
            Self::ClientSecret(config) => Some(&config.secret),
            Self::ClientCertificate(config) => Some(&config.certificate),
            Self::ManagedIdentity(_) | Self::WorkloadIdentity(_) => None,
        }
    }
}
