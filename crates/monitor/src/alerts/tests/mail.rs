//! Mail to a server that speaks plain SMTP, and what is refused.

use std::sync::Arc;

use net::{EgressConfig, EgressRules};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use vault::SecretRef;

use super::super::mail::{MailConfig, MailSecurity, Mailer};
use super::vault;

/// A mail server that keeps what it is told; it refuses recipients at `refused`.
pub(crate) async fn server() -> (u16, Arc<Mutex<Vec<String>>>) {
    serve(|stream| async { stream }).await
}

/// The same behind a handshake.
async fn serve<S, F>(
    shake: impl Fn(TcpStream) -> F + Send + 'static,
) -> (u16, Arc<Mutex<Vec<String>>>)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
    F: Future<Output = S> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let keeping = heard.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            converse(shake(stream).await, &keeping).await;
        }
    });
    (port, heard)
}

/// One session with a client.
async fn converse(stream: impl AsyncRead + AsyncWrite, keeping: &Mutex<Vec<String>>) {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"220 test ESMTP\r\n").await.unwrap();
    let mut is_data = false;
    while let Ok(Some(line)) = lines.next_line().await {
        let reply = match line.as_str() {
            "." if is_data => {
                is_data = false;
                "250 kept\r\n"
            }
            _ if is_data => "",
            "DATA" => {
                is_data = true;
                "354 go on\r\n"
            }
            "QUIT" => "221 bye\r\n",
            line if line.starts_with("EHLO") => "250-test\r\n250 8BITMIME\r\n",
            line if line.starts_with("AUTH") => "235 welcome\r\n",
            line if line.contains("@refused") => "550 no such mailbox\r\n",
            line if line.contains("@busy") => "451 later\r\n",
            _ => "250 ok\r\n",
        };
        keeping.lock().await.push(line);
        writer.write_all(reply.as_bytes()).await.unwrap();
    }
}

pub(crate) fn mailer(port: u16) -> Mailer {
    let config = MailConfig {
        host: "127.0.0.1".into(),
        port,
        security: MailSecurity::None,
        from: "gatehouse@example.org".into(),
        ..MailConfig::default()
    };
    Mailer::new(&config, loopback(), vault())
        .expect("settings are right")
        .expect("there is a server")
}

/// The servers of these tests are on this machine, which must be declared.
fn loopback() -> EgressRules {
    let allow = vec!["127.0.0.0/8".parse().expect("a network")];
    EgressRules::new(&EgressConfig::only(allow))
}

#[tokio::test]
async fn a_mail_arrives_with_its_file_and_its_dots() {
    let (port, heard) = server().await;
    let file = Some(("report.csv".to_owned(), "text/csv", b"a,b\r\n1,2\r\n".to_vec()));
    let to = ["Ann <ann@example.org>".to_owned(), "bob@example.org".to_owned()];
    let text = "hello\r\n.hidden\r\n".to_owned();
    mailer(port).send(&to, "Fired Sev1: ä", text, file).await.expect("it is taken");
    let heard = heard.lock().await.join("\n");
    for part in [
        "MAIL FROM:<gatehouse@example.org>",
        "RCPT TO:<ann@example.org>",
        "RCPT TO:<bob@example.org>",
        "Subject: Fired Sev1: =?utf-8?",
        "filename=\"report.csv\"",
    ] {
        assert!(heard.contains(part), "no `{part}` in\n{heard}");
    }
    assert!(heard.contains("\n..hidden"), "a dot at the start of a line is doubled\n{heard}");
}

#[tokio::test]
async fn a_refusal_is_final_and_a_busy_server_is_tried_again() {
    let (port, _) = server().await;
    for (to, is_final) in [("x@refused.example", true), ("x@busy.example", false)] {
        let sent = mailer(port).send(&[to.to_owned()], "s", "t".into(), None).await;
        let failure = sent.expect_err("the server refuses");
        assert_eq!(failure.is_final, is_final, "{failure}");
    }
}

#[tokio::test]
async fn a_server_without_starttls_gets_no_mail_where_secrecy_is_asked_for() {
    let (port, heard) = server().await;
    let config = MailConfig { host: "127.0.0.1".into(), port, ..MailConfig::default() };
    let mailer = Mailer::new(&config, loopback(), vault()).unwrap().unwrap();
    mailer.send(&["a@example.org".into()], "s", "t".into(), None).await.expect_err("no TLS");
    assert!(!heard.lock().await.iter().any(|line| line.starts_with("MAIL")));
}

#[test]
fn a_password_is_never_sent_in_clear() {
    let config = MailConfig {
        host: "127.0.0.1".into(),
        security: MailSecurity::None,
        username: "u".into(),
        password: Some(SecretRef::Env("NONE".into())),
        ..MailConfig::default()
    };
    let wrong = Mailer::new(&config, loopback(), vault());
    assert!(wrong.err().expect("refused").contains("not sent in clear"));
}

#[tokio::test]
async fn the_password_comes_from_its_home_and_goes_out_over_tls_only() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let (ca_file, password) = (folder.path().join("ca.pem"), folder.path().join("password"));
    std::fs::write(&ca_file, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let chain = vec![CertificateDer::from(made.cert)];
    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (port, heard) = serve(move |stream| {
        let acceptor = acceptor.clone();
        async move { acceptor.accept(stream).await.unwrap() }
    })
    .await;
    let config = MailConfig {
        host: "127.0.0.1".into(),
        port,
        security: MailSecurity::Tls,
        username: "gatehouse".into(),
        password: Some(SecretRef::File(password.clone())),
        from: "gatehouse@example.org".into(),
        ca_file,
    };
    let mailer = Mailer::new(&config, loopback(), vault()).unwrap().unwrap();
    let to = ["ann@example.org".to_owned()];
    let failure = mailer.send(&to, "s", "t".into(), None).await.expect_err("there is no password");
    assert!(!failure.is_final && failure.why.contains("mail.password"), "{failure}");
    std::fs::write(&password, "hush\n").unwrap();
    mailer.send(&to, "s", "t".into(), None).await.expect("it is taken");
    let word = super::super::mail::base64(b"\0gatehouse\0hush");
    assert!(heard.lock().await.contains(&format!("AUTH PLAIN {word}")));
    let without = MailConfig { password: None, ..config };
    let wrong = Mailer::new(&without, loopback(), vault()).err().expect("half a login");
    assert!(wrong.contains("or neither"), "{wrong}");
}
