//! Sending mail: lettre builds the message, and this client brings it to the server (RFC 5321), over TLS
//! from the start or after STARTTLS (RFC 3207), with AUTH PLAIN (RFC 4954).

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;
use lettre::Message;
use lettre::message::header::ContentType;
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use net::{ClientConfig, Connector, Dialled, EgressRules};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use vault::{SecretRef, Vault};
use zeroize::Zeroizing;

use super::sink::Failure;

/// Longest time that one mail may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest reply line, and most lines of a reply.
const LINE_BYTES_MAX: usize = 2_048;
const LINES_MAX: usize = 64;

/// How the connection to the mail server is kept secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MailSecurity {
    /// STARTTLS, usually on port 587; a server without it is refused.
    #[default]
    Starttls,
    /// TLS from the start, usually on port 465.
    Tls,
    /// None; a password is not sent then.
    None,
}

/// The mail server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MailConfig {
    /// Its host; empty for none. Its address must be among those of `egress`.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept secret.
    pub security: MailSecurity,
    /// User name; empty for none.
    pub username: String,
    /// Where the password is found.
    pub password: Option<SecretRef>,
    /// Sender of what is sent.
    pub from: String,
    /// File of PEM certificates to trust instead of the public authorities; empty for those.
    pub ca_file: PathBuf,
}

impl Default for MailConfig {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 587,
            security: MailSecurity::Starttls,
            username: String::new(),
            password: None,
            from: "gatehouse@localhost".into(),
            ca_file: PathBuf::new(),
        }
    }
}

impl MailConfig {
    /// Makes paths relative to the folder of the configuration.
    pub fn resolve_paths(&mut self, folder: &Path) {
        if !self.ca_file.as_os_str().is_empty() {
            self.ca_file = folder.join(&self.ca_file);
        }
        if let Some(reference) = &mut self.password {
            reference.resolve_path(folder);
        }
    }
}

/// Sends mail.
pub struct Mailer {
    config: MailConfig,
    vault: Vault,
    connector: Connector,
    from: Mailbox,
}

type Session = BufReader<Dialled>;

impl Mailer {
    /// Checks the settings; dials nothing yet. None if there is no mail server. The password comes from
    /// `vault` when it is needed.
    pub fn new(
        config: &MailConfig,
        egress: EgressRules,
        vault: Vault,
    ) -> Result<Option<Self>, String> {
        if config.host.is_empty() {
            return Ok(None);
        }
        let from = config
            .from
            .parse()
            .map_err(|_| format!("mail.from: `{}` is no mail address: give one", config.from))?;
        if config.security == MailSecurity::None && !config.username.is_empty() {
            return Err("mail: a password is not sent in clear: set mail.security, or leave mail.username empty".into());
        }
        if config.username.is_empty() != config.password.is_none() {
            return Err("mail: give `username` and `password`, or neither".into());
        }
        let scheme = if config.security == MailSecurity::None { "http" } else { "https" };
        let base = format!("{scheme}://{}:{}", config.host, config.port);
        let base: Uri =
            base.parse().map_err(|_| format!("mail.host: `{}` is no host", config.host))?;
        let client = ClientConfig { ca_file: config.ca_file.clone(), ..ClientConfig::default() };
        let connector = Connector::new(&base, &client, egress).map_err(|e| format!("mail: {e}"))?;
        Ok(Some(Self { config: config.clone(), vault, connector: connector.without_alpn(), from }))
    }

    /// Where its password is found.
    pub(super) fn password(&self) -> Option<&SecretRef> {
        self.config.password.as_ref()
    }

    /// Sends one mail, with a file if there is one: name, type, content.
    pub async fn send(
        &self,
        to: &[String],
        subject: &str,
        text: String,
        file: Option<(String, &'static str, Vec<u8>)>,
    ) -> Result<(), Failure> {
        let message = self.message(to, subject, text, file)?;
        let sending = self.transfer(to, &message);
        match tokio::time::timeout(TIMEOUT, sending).await {
            Ok(result) => result,
            Err(_) => Err(Failure::retry("the mail server took too long".into())),
        }
    }

    fn message(
        &self,
        to: &[String],
        subject: &str,
        text: String,
        file: Option<(String, &'static str, Vec<u8>)>,
    ) -> Result<Vec<u8>, Failure> {
        let wrong = |why: String| Failure { is_final: true, why };
        let mut builder =
            Message::builder().from(self.from.clone()).subject(subject).message_id(None);
        for address in to {
            let mailbox: Mailbox =
                address.parse().map_err(|_| wrong(format!("`{address}` is no mail address")))?;
            builder = builder.to(mailbox);
        }
        let built = match file {
            None => builder.header(ContentType::TEXT_PLAIN).body(text),
            Some((name, content_type, content)) => {
                let content_type = content_type
                    .parse()
                    .map_err(|_| wrong(format!("`{content_type}` is no content type")))?;
                let file = Attachment::new(name).body(content, content_type);
                builder.multipart(
                    MultiPart::mixed().singlepart(SinglePart::plain(text)).singlepart(file),
                )
            }
        };
        built.map(|message| message.formatted()).map_err(|error| wrong(error.to_string()))
    }

    async fn transfer(&self, to: &[String], message: &[u8]) -> Result<(), Failure> {
        let mut session = self.greet().await?;
        if let Some(reference) = &self.config.password {
            self.log_in(&mut session, reference).await?;
        }
        command(&mut session, &format!("MAIL FROM:<{}>", self.from.email), 250).await?;
        for address in to {
            let mailbox: Mailbox = address
                .parse()
                .map_err(|_| Failure { is_final: true, why: "no address".into() })?;
            command(&mut session, &format!("RCPT TO:<{}>", mailbox.email), 250).await?;
        }
        command(&mut session, "DATA", 354).await?;
        session.write_all(&stuffed(message)).await.map_err(|e| broken(&e))?;
        command(&mut session, ".", 250).await?;
        // It is delivered; a server that hangs up now changes nothing.
        let _ = command(&mut session, "QUIT", 221).await;
        Ok(())
    }

    /// A session that may take mail: greeted, and secret as configured.
    async fn greet(&self) -> Result<Session, Failure> {
        let net = |error: net::Error| Failure::retry(error.to_string());
        let dialled = match self.config.security {
            MailSecurity::Tls => self.connector.open().await.map_err(net)?,
            MailSecurity::Starttls | MailSecurity::None => {
                self.connector.open_plain().await.map_err(net)?
            }
        };
        let mut session = BufReader::new(dialled);
        reply(&mut session, 220).await?;
        command(&mut session, "EHLO gatehouse", 250).await?;
        if self.config.security == MailSecurity::Starttls {
            command(&mut session, "STARTTLS", 220).await?;
            // Nothing that came in clear counts beyond this.
            let dialled = self.connector.secure(session.into_inner()).await.map_err(net)?;
            session = BufReader::new(dialled);
            command(&mut session, "EHLO gatehouse", 250).await?;
        }
        Ok(session)
    }

    async fn log_in(&self, session: &mut Session, reference: &SecretRef) -> Result<(), Failure> {
        let password = self.vault.current(reference).await;
        let password = password
            .map_err(|error| Failure::retry(format!("mail.password: {}", error.story())))?;
        let plain = format!("\0{}\0{}", self.config.username, password.expose());
        let word = Zeroizing::new(base64(Zeroizing::new(plain).as_bytes()));
        let line = Zeroizing::new(format!("AUTH PLAIN {}", word.as_str()));
        command(session, &line, 235).await
    }
}

async fn command(session: &mut Session, line: &str, wanted: u16) -> Result<(), Failure> {
    if line.contains(['\r', '\n']) {
        return Err(Failure { is_final: true, why: "a mail address holds a line break".into() });
    }
    session.write_all(format!("{line}\r\n").as_bytes()).await.map_err(|e| broken(&e))?;
    session.flush().await.map_err(|error| broken(&error))?;
    reply(session, wanted).await
}

/// Reads a reply and its further lines.
async fn reply(session: &mut Session, wanted: u16) -> Result<(), Failure> {
    for _ in 0..LINES_MAX {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let piece = session.fill_buf().await.map_err(|error| broken(&error))?;
            if piece.is_empty() || line.len() > LINE_BYTES_MAX {
                return Err(Failure::retry("the mail server broke off".into()));
            }
            let end = piece.iter().position(|byte| *byte == b'\n').map_or(piece.len(), |at| at + 1);
            line.extend_from_slice(&piece[..end]);
            session.consume(end);
        }
        let text = String::from_utf8_lossy(&line);
        let code: u16 = text.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
        if text.as_bytes().get(3) == Some(&b'-') {
            continue;
        }
        if code == wanted {
            return Ok(());
        }
        // 4xx may pass, 5xx will not (RFC 5321, section 4.2.1); what it says may hold addresses.
        return Err(Failure {
            is_final: (500..600).contains(&code) && code != 530 && code != 535,
            why: format!("the mail server answered {code} where {wanted} was due"),
        });
    }
    Err(Failure::retry("the mail server's reply is too long".into()))
}

/// Lines that begin with a dot get another one (RFC 5321, section 4.5.2); the end is a line's end.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 16);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn broken(error: &std::io::Error) -> Failure {
    Failure::retry(format!("the connection to the mail server broke: {error}"))
}

/// RFC 4648, section 4.
pub(super) fn base64(data: &[u8]) -> String {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.encode(data)
}
