//! Names that change their answers, addresses in disguise, and proxies.

use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::{Denied, EgressConfig, Proxy};

type Told = Arc<Mutex<Vec<Denied>>>;

/// Rules for these networks, and what they forbade.
fn rules(allow: &[&str], proxy: Option<Proxy>) -> (EgressRules, Told) {
    let allow = allow.iter().map(|network| network.parse().expect("a network")).collect();
    let told = Told::default();
    let list = told.clone();
    let rules = EgressRules::new(&EgressConfig { proxy, ..EgressConfig::only(allow) });
    (rules.watched(move |denied| list.lock().unwrap().push(denied.clone())), told)
}

fn connector(url: &str, rules: EgressRules) -> Connector {
    Connector::new(&url.parse().expect("a URL"), &ClientConfig::default(), rules).expect("good")
}

/// A resolver that gives one answer after the other and the last one again and again.
fn scripted(connector: &mut Connector, answers: Vec<Vec<&str>>) -> Arc<Mutex<usize>> {
    let asked = Arc::new(Mutex::new(0));
    let counter = asked.clone();
    let answers: Vec<Vec<IpAddr>> = answers
        .into_iter()
        .map(|answer| answer.iter().map(|ip| ip.parse().expect("an address")).collect())
        .collect();
    connector.lookup = Arc::new(move |_, port| {
        let mut asked = counter.lock().unwrap();
        let answer = &answers[(*asked).min(answers.len() - 1)];
        *asked += 1;
        let answer: Vec<SocketAddr> = answer.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        Box::pin(async move { Ok(answer) })
    });
    asked
}

/// Counts connections, from the accepted one on.
async fn listener(address: &str) -> (SocketAddr, mpsc::Receiver<TcpStream>) {
    let listener = TcpListener::bind(address).await.expect("binds");
    let address = listener.local_addr().expect("bound");
    let (sender, receiver) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = sender.send(stream).await;
        }
    });
    (address, receiver)
}

#[tokio::test]
async fn a_name_that_changes_its_answer_gains_nothing() {
    let (address, mut meant) = listener("127.0.0.1:0").await;
    let (_, mut inner) = listener(&format!("127.0.0.2:{}", address.port())).await;
    for second in ["127.0.0.2", "169.254.169.254", "10.0.0.1", "::ffff:127.0.0.2"] {
        let (rules, told) = rules(&["127.0.0.1/32"], None);
        let mut connector = connector(&format!("http://rebinding.test:{}", address.port()), rules);
        let asked = scripted(&mut connector, vec![vec!["127.0.0.1"], vec![second]]);
        let opened = connector.connect().await.expect("the first answer is allowed");
        let Stream::Plain(stream) = &opened.stream else { panic!("plain") };
        assert_eq!(stream.peer_addr().expect("connected").ip().to_string(), "127.0.0.1");
        assert_eq!(*asked.lock().unwrap(), 1, "what was judged is what is dialled");
        meant.recv().await.expect("it was dialled");

        let denied = connector.connect().await.map(drop).expect_err("the second is not");
        assert_eq!(denied.kind(), ErrorKind::Denied, "{second}: {denied}");
        let told = told.lock().unwrap();
        assert_eq!((told.len(), &*told[0].host), (1, "rebinding.test"));
        assert_eq!(told[0].ip.to_string(), second);
    }
    assert!(inner.try_recv().is_err(), "nothing else was dialled");
}

#[tokio::test]
async fn one_forbidden_address_among_good_ones_spoils_the_name() {
    let (address, mut meant) = listener("127.0.0.1:0").await;
    for other in ["20.1.2.3", "169.254.169.254", "64:ff9b::a9fe:a9fe", "::1"] {
        for answer in [vec!["127.0.0.1", other], vec![other, "127.0.0.1"]] {
            let (rules, _) = rules(&["127.0.0.1/32"], None);
            let mut connector = connector(&format!("http://mixed.test:{}", address.port()), rules);
            scripted(&mut connector, vec![answer]);
            let denied = connector.connect().await.map(drop).expect_err(other);
            assert_eq!(denied.kind(), ErrorKind::Denied, "{other}");
        }
    }
    assert!(meant.try_recv().is_err());
}

#[tokio::test]
async fn addresses_in_disguise_are_judged_by_where_they_lead() {
    // As names answer, with everything public declared.
    for disguised in [
        "::ffff:169.254.169.254",
        "::ffff:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::",
        "2001:0:a9fe:a9fe::1",
        "2001:0:1414:1414:0:0:5601:5601",
        "168.63.129.16",
        "fd00:ec2::254",
        "0.0.0.0",
    ] {
        let (rules, told) = rules(&["0.0.0.0/0", "::/0"], None);
        let mut connector = connector("http://disguised.test", rules);
        scripted(&mut connector, vec![vec![disguised]]);
        let denied = connector.connect().await.map(drop).expect_err(disguised);
        assert_eq!(denied.kind(), ErrorKind::Denied, "{disguised}");
        assert_eq!(told.lock().unwrap().len(), 1, "{disguised}");
    }
    // As URLs spell them: the system's resolver reads them as it does for everybody.
    let hosts = ["2130706433", "0177.0.0.1", "0x7f000001", "0x7f.1", "127.1", "[::ffff:7f00:1]"];
    for host in hosts {
        let (rules, told) = rules(&["0.0.0.0/0", "::/0"], None);
        let denied = connector(&format!("http://{host}:9"), rules).connect().await;
        let denied = denied.map(drop).expect_err(host);
        assert_eq!(denied.kind(), ErrorKind::Denied, "{host}: {denied}");
        assert_eq!(told.lock().unwrap().len(), 1, "{host}");
    }
}

/// Credentials as the proxy below wants them.
const CREDENTIALS: (&str, &str) = ("gatehouse", "open sesame");

/// A proxy that connects what is allowed, and tells what it was asked for.
async fn proxy() -> (SocketAddr, mpsc::Receiver<String>) {
    let (address, mut accepted) = listener("127.0.0.1:0").await;
    let (sender, receiver) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Some(mut client) = accepted.recv().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.expect("a head"));
            }
            let head = String::from_utf8(head).expect("text");
            let target = head.split(' ').nth(1).expect("a target").to_owned();
            let wanted = "proxy-authorization: Basic Z2F0ZWhvdXNlOm9wZW4gc2VzYW1l\r\n";
            let port = target.rsplit(':').next().expect("a port").to_owned();
            let _ = sender.send(head.clone()).await;
            if !head.contains(wanted) {
                let answer = b"HTTP/1.1 407 Who are you\r\ncontent-length: 0\r\n\r\n";
                client.write_all(answer).await.expect("writes");
                continue;
            }
            let mut origin = TcpStream::connect(format!("127.0.0.1:{port}")).await.expect("open");
            let answer = b"HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n";
            client.write_all(answer).await.expect("writes");
            tokio::spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut origin).await;
            });
        }
    });
    (address, receiver)
}

fn through(address: SocketAddr, credentials: Option<(&str, &str)>) -> Proxy {
    let direct = ["direct.test".to_owned(), "10.0.0.0/8".to_owned()];
    Proxy::new(&format!("http://{address}"), credentials, &direct).expect("good")
}

#[tokio::test]
async fn names_go_to_the_proxy_unresolved_and_its_own_address_is_judged() {
    let (address, mut meant) = listener("127.0.0.1:0").await;
    let (proxy, mut asked) = proxy().await;
    let (loopback, _) = rules(&["127.0.0.1/32"], Some(through(proxy, Some(CREDENTIALS))));
    let url = format!("http://model.test:{}", address.port());
    let mut connector = self::connector(&url, loopback);
    let resolved = scripted(&mut connector, vec![vec!["20.1.2.3"]]);
    let mut opened = connector.connect().await.expect("through the proxy").stream;
    assert_eq!(*resolved.lock().unwrap(), 0, "the proxy resolves");
    let head = asked.recv().await.expect("it was asked");
    let target = format!("model.test:{}", address.port());
    assert!(head.starts_with(&format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n")));
    opened.write_all(b"hello").await.expect("writes");
    let mut origin = meant.recv().await.expect("the proxy dialled");
    let mut read = [0; 5];
    origin.read_exact(&mut read).await.expect("reads");
    assert_eq!(&read, b"hello", "not a byte more or less than was sent");

    // Only loopback is declared, and that is where this proxy is; a proxy elsewhere is not dialled.
    let elsewhere: SocketAddr = "20.1.2.3:3128".parse().expect("an address");
    let (rules, told) = rules(&["127.0.0.1/32"], Some(through(elsewhere, None)));
    let denied = self::connector(&url, rules).connect().await.map(drop).expect_err("not declared");
    assert_eq!(denied.kind(), ErrorKind::Denied);
    assert_eq!(told.lock().unwrap()[0].host, "20.1.2.3");
}

#[tokio::test]
async fn hosts_of_the_list_are_dialled_directly_and_addresses_are_judged_before_the_proxy_is_asked()
{
    let (address, mut meant) = listener("127.0.0.1:0").await;
    let (proxy, mut asked) = proxy().await;
    let settings = || rules(&["127.0.0.1/32"], Some(through(proxy, Some(CREDENTIALS))));
    let url = format!("http://direct.test:{}", address.port());
    let mut connector = self::connector(&url, settings().0);
    scripted(&mut connector, vec![vec!["127.0.0.1"]]);
    connector.connect().await.map(drop).expect("directly");
    meant.recv().await.expect("it was dialled");
    for host in ["20.1.2.3", "[2a00:1450::1]", "[64:ff9b::7f00:2]", "335676931", "0x14.1.2.3"] {
        let (rules, told) = settings();
        let denied = self::connector(&format!("http://{host}:9"), rules).connect().await;
        assert_eq!(denied.map(drop).expect_err(host).kind(), ErrorKind::Denied, "{host}");
        assert_eq!(told.lock().unwrap().len(), 1, "{host}");
    }
    assert!(asked.try_recv().is_err(), "the proxy was asked for none of them");
}

#[tokio::test]
async fn a_proxy_that_refuses_or_is_none_is_an_error_with_the_fix() {
    let (proxy, _asked) = proxy().await;
    let (rules, _) = rules(&["127.0.0.1/32"], Some(through(proxy, None)));
    let error = connector("http://model.test", rules).connect().await.map(drop);
    let error = error.expect_err("it wants credentials");
    assert_eq!(error.kind(), ErrorKind::Connect);
    let text = error.to_string();
    assert!(text.contains("407") && text.contains("proxy.password"), "{text}");

    for answer in ["HTTP/1.1 403 No\r\n\r\n", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200", ""] {
        let (address, mut accepted) = listener("127.0.0.1:0").await;
        let (rules, _) = self::rules(&["127.0.0.1/32"], Some(through(address, None)));
        let connector = connector("http://model.test", rules);
        let serve = async {
            let mut stream = accepted.recv().await.expect("a connection");
            let mut head = [0; 8];
            stream.read_exact(&mut head).await.expect("a head");
            stream.write_all(answer.as_bytes()).await.expect("writes");
            stream.shutdown().await.expect("ends");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let (opened, ()) = tokio::join!(connector.connect(), serve);
        let error = opened.map(drop).expect_err(answer);
        assert_eq!(error.kind(), ErrorKind::Connect, "{answer}");
        assert!(error.to_string().contains("the proxy 127.0.0.1"), "{error}");
    }
}
