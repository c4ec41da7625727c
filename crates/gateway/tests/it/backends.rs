//! Choosing, watching and leaving backends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use event::{BackendState, Outcome};
use simulator::Fault;
use tokio::io::AsyncWriteExt;

use crate::support::{
    CHAT, HELLO, HELLO_STREAM, LIMIT, Setup, World, named_simulator, post, scripted, simulator,
    with_header,
};

#[tokio::test(flavor = "multi_thread")]
async fn another_backend_takes_over_before_the_first_byte_of_an_answer() {
    let first = named_simulator("first").await;
    let second = named_simulator("second").await;
    let faults = ["status=503", "status=429;retry-after-ms=1500", "refuse", "reset-before-head"];
    for fault in faults {
        let world = Setup::before(&[first.url(), second.url()]).start().await;
        first.set_fault(Some(fault.parse().unwrap()));
        let answer = world.post(CHAT, HELLO).await;
        assert_eq!(answer.status, 200, "{fault}: {}", answer.text());
        let story = world.story();
        let backends: Vec<_> =
            story.dispatched.iter().map(|d| (d.attempt, d.backend_id.as_str())).collect();
        assert_eq!(backends, [(1, "b0"), (2, "b1")], "{fault}");
        assert_eq!(story.end().outcome, Outcome::Complete);
        assert_eq!(story.end().errors.len(), 1, "the failed attempt is told");
        assert_eq!(story.request, HELLO.as_bytes(), "recorded once");
        assert_eq!(story.response, answer.body);
    }
    assert_eq!(second.requests(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_backends_own_error_reaches_the_client_unchanged() {
    let only = simulator().await;
    let world = Setup::before(&[only.url()]).start().await;
    let request = with_header(post(CHAT, HELLO), "x-sim-fault", "status=429;retry-after-ms=1500");
    let answer = world.call(request).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.headers["retry-after-ms"], "1500");
    assert_eq!(only.requests(), 1);
    assert_eq!(world.story().end().status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_backend_out_of_reach_the_answer_is_clear_and_recorded() {
    let only = simulator().await;
    let url = only.url();
    only.stop().await;
    let world = Setup::before(&[url])
        .with(|config| (config.pool.wait_ms_max, config.pool.breaker.open_ms) = (0, 20_000))
        .start()
        .await;
    let calls = [
        (HELLO, 502, "BackendConnectionFailure"),
        // By now the circuit is open: nothing is tried in vain.
        (HELLO_STREAM, 503, "BackendsUnavailable"),
    ];
    for (body, status, code) in calls {
        let answer = world.post(CHAT, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
        let retry_after = answer.headers["retry-after"].to_str().unwrap();
        assert!(retry_after == if status == 502 { "1" } else { "20" }, "{retry_after}");
        assert!(!answer.text().contains("127.0.0.1"), "no topology: {}", answer.text());
    }
    let stories = world.stories();
    let [tried, refused] = &stories[..] else { panic!("{stories:?}") };
    assert_eq!((tried.dispatched.len(), tried.end().errors.len()), (3, 3), "tried again");
    assert!(tried.end().errors.iter().all(|error| error.message.contains("cannot connect")));
    assert_eq!(tried.end().outcome, Outcome::BackendFailed);
    assert_eq!((refused.dispatched.len(), refused.end().outcome), (0, Outcome::Refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_take_a_backend_out_and_bring_it_back() {
    let only = simulator().await;
    only.set_fault(Some(Fault::Refuse));
    let world = Setup::before(&[only.url()])
        .with(|config| {
            let probe = &mut config.backends[0].probe;
            (probe.enabled, probe.interval_ms, probe.unhealthy_threshold) = (true, 10, 2);
        })
        .start()
        .await;
    until(|| !world.gateway.status().backends[0].is_up).await;
    let answer = world.post(CHAT, HELLO).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "BackendsUnavailable"));
    assert!(answer.headers.contains_key("retry-after"));
    let story = world.story();
    assert_eq!(
        (story.end().outcome, story.request.as_slice()),
        (Outcome::Refused, HELLO.as_bytes())
    );
    assert_eq!(world.gateway.health().answer("/readyz").unwrap().0, 503);
    only.set_fault(None);
    until(|| world.gateway.status().backends[0].is_up).await;
    assert_eq!(world.post(CHAT, HELLO).await.status, 200);
    assert_eq!(world.gateway.health().answer("/readyz").unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn stateful_calls_go_home_and_the_others_are_shared() {
    let first = named_simulator("first").await;
    let second = named_simulator("second").await;
    let world = Setup::before(&[first.url(), second.url()])
        .with(|config| {
            config.backends[0].priority = 1;
            config.backends[1].priority = 1;
            config.backends[1].home = true;
        })
        .start()
        .await;
    for _ in 0..4 {
        let threads = "/openai/threads?api-version=2024-05-01-preview";
        assert_eq!(world.post(threads, "{}").await.status, 200);
    }
    assert_eq!((first.requests(), second.requests()), (0, 4));
    for _ in 0..4 {
        assert_eq!(world.post(CHAT, HELLO).await.status, 200);
    }
    assert!(first.requests() >= 1 && second.requests() >= 5, "{}", first.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_outside_the_declared_networks_is_not_dialled() {
    let only = simulator().await;
    let world = Setup::before(&[only.url()])
        .with(|config| config.egress.allow = vec!["10.0.0.0/8".parse().unwrap()])
        .start()
        .await;
    let answer = world.post(CHAT, HELLO).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "BackendAddressForbidden"));
    assert_eq!(only.requests(), 0);
    let story = world.story();
    assert!(story.end().errors[0].message.contains("egress.allow"), "{story:?}");
    let noted = world.first_security_event().await;
    assert_eq!((&*noted.kind, &*noted.reason), ("egress_denied", "special_not_declared"));
    assert_eq!((&*noted.backend_id, &*noted.target_address), ("b0", "127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_of_a_backend_is_passed_on_and_never_followed() {
    let elsewhere = simulator().await;
    for status in ["301", "302", "303", "307", "308"] {
        let target = format!("{}{CHAT}", elsewhere.url());
        let backend = scripted(move |_, mut stream| {
            let head = format!(
                "HTTP/1.1 {status} Elsewhere\r\nlocation: {target}\r\ncontent-length: 0\r\n\
                 connection: close\r\n\r\n"
            );
            async move { stream.write_all(head.as_bytes()).await.unwrap() }
        })
        .await;
        let world = Setup::before(&[backend]).start().await;
        let answer = world.post(CHAT, HELLO).await;
        assert_eq!(answer.status.to_string(), status, "{}", answer.text());
        assert!(answer.headers["location"].to_str().is_ok_and(|to| to.contains(CHAT)));
    }
    assert_eq!(elsewhere.requests(), 0, "nobody went there");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dialect_reaches_an_azure_backend_and_an_openai_one() {
    let backend = simulator().await;
    let with_model = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}"#;
    for kind in [gateway::BackendKind::Azure, gateway::BackendKind::Openai] {
        let world = Setup::before(&[backend.url()])
            .with(|config| config.backends[0].kind = kind)
            .start()
            .await;
        for target in ["/v1/chat/completions", "/openai/v1/chat/completions", "/chat/completions"] {
            let answer = world.post(target, with_model).await;
            assert_eq!(answer.status, 200, "{kind:?} {target}: {}", answer.text());
        }
        for story in world.stories() {
            assert_eq!(story.start().target.operation_id, "ChatCompletions_Create");
            assert_eq!(story.start().target.model, "gpt-4o");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backends_own_names_reach_it_and_nothing_else_changes() {
    let config = simulator::SimulatorConfig {
        deployments: vec![
            simulator::Deployment::new("own name", "gpt-4o"),
            simulator::Deployment::new("own-whisper", "whisper-1"),
        ],
        ..simulator::SimulatorConfig::default()
    };
    let backend = simulator::Simulator::start(config).await.unwrap();
    let names = [("gpt-4o", "own name"), ("whisper", "own-whisper")];
    let no_model = r#"{"messages":[{"role":"user","content":"hello"}], "n" : 1}"#;
    let with_model =
        r#"{"messages":[{"role":"user","content":"hello"}],"model":"gpt-4o", "n" : 1}"#;
    let form = "--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n--x\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\nRIFF\r\n--x--\r\n";
    let mut form_call = post("/v1/audio/transcriptions", form);
    let form_type = "multipart/form-data; boundary=x".parse().unwrap();
    form_call.headers_mut().insert("content-type", form_type);
    let azure = gateway::BackendKind::Azure;
    let openai = gateway::BackendKind::Openai;
    let in_path = "/openai/deployments/own%20name/chat/completions?api-version=2024-10-21";
    for (kind, call, target, body) in [
        (azure, post(CHAT, no_model), in_path, no_model.to_owned()),
        (
            openai,
            post(CHAT, no_model),
            "/v1/chat/completions",
            no_model.replacen('{', r#"{"model":"own name","#, 1),
        ),
        (
            azure,
            post("/v1/chat/completions", with_model),
            "/openai/v1/chat/completions",
            with_model.replace("gpt-4o", "own name"),
        ),
        (openai, form_call, "/v1/audio/transcriptions", form.replace("whisper", "own-whisper")),
    ] {
        let sent = call.body().clone();
        let world = Setup::before(&[backend.url()])
            .with(|config| {
                let entry = &mut config.backends[0];
                entry.kind = kind;
                entry.names = names.map(|(theirs, own)| (theirs.to_owned(), own.to_owned())).into();
            })
            .start()
            .await;
        let answer = world.call(call).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        let received = backend.received().pop().unwrap();
        assert_eq!(received.target, target);
        assert_eq!(String::from_utf8_lossy(&received.body_start), body);
        let story = world.story();
        let whole = http_body_util::BodyExt::collect(sent).await.unwrap().to_bytes();
        assert_eq!(story.request, whole, "recorded as the caller sent it");
        let changes = if body.as_bytes() == whole { vec![] } else { vec!["model".to_owned()] };
        assert_eq!(story.dispatched[0].body_changes, changes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_all_are_throttled_a_call_waits_a_little_or_learns_the_soonest_moment() {
    let (first, second) = (named_simulator("first").await, named_simulator("second").await);
    let world = Setup::before(&[first.url(), second.url()]).start().await;
    let throttle = |ms: u32| {
        with_header(post(CHAT, HELLO), "x-sim-fault", &format!("status=429;retry-after-ms={ms}"))
    };
    assert_eq!(world.call(throttle(300)).await.status, 429);
    let began = std::time::Instant::now();
    assert_eq!(world.post(CHAT, HELLO).await.status, 200, "it waits for the first to come back");
    assert!(began.elapsed() >= Duration::from_millis(100), "{:?}", began.elapsed());
    assert_eq!(world.call(throttle(60_000)).await.status, 429);
    let asked = (first.requests(), second.requests());
    let refused = world.post(CHAT, HELLO).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "BackendsThrottled"));
    assert_eq!(refused.headers["retry-after"], "60");
    let wait: u64 = refused.headers["retry-after-ms"].to_str().unwrap().parse().unwrap();
    assert!((50_000..=60_000).contains(&wait), "{wait}");
    assert!(!refused.headers.contains_key("x-should-retry"));
    assert_eq!((first.requests(), second.requests()), asked, "nobody is asked in vain");
    let embeddings = "/openai/deployments/text-embedding-3-small/embeddings?api-version=2024-10-21";
    assert_eq!(world.post(embeddings, r#"{"input":"x"}"#).await.status, 200, "per deployment");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_repeated_is_not() {
    let (first, second) = (named_simulator("first").await, named_simulator("second").await);
    let threads = "/openai/threads?api-version=2024-05-01-preview";
    for (fault, attempts, status) in [
        ("reset-before-head", 1, 502),
        ("status=500", 1, 500),
        // Nothing was sent, or it was refused: that may be repeated, but at no other home.
        ("refuse", 3, 502),
        ("status=503", 1, 503),
    ] {
        first.set_fault(Some(fault.parse().unwrap()));
        let world = Setup::before(&[first.url(), second.url()])
            .with(|config| config.backends[0].home = true)
            .start()
            .await;
        let before = second.requests();
        assert_eq!(world.post(threads, "{}").await.status, status, "{fault}");
        assert_eq!(world.story().dispatched.len(), attempts, "{fault}");
        assert_eq!(second.requests(), before, "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_look_at_host_and_body_and_wait_for_several_successes() {
    let (answers, seen) = (Arc::new(Mutex::new("starting")), Arc::new(Mutex::new(Vec::new())));
    let url = crate::support::scripted({
        let (answers, seen) = (answers.clone(), seen.clone());
        move |head, mut stream| {
            let body = *answers.lock().unwrap();
            let host = head.lines().find_map(|line| line.strip_prefix("host: "));
            seen.lock()
                .unwrap()
                .push((head.lines().next().map(str::to_owned), host.map(str::to_owned)));
            let answer = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            async move {
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await;
            }
        }
    })
    .await;
    let world = Setup::before(&[url])
        .with(|config| {
            let probe = &mut config.backends[0].probe;
            (probe.enabled, probe.interval_ms) = (true, 10);
            (probe.unhealthy_threshold, probe.healthy_threshold) = (2, 3);
            probe.path = "/status".into();
            probe.host = "model.example".into();
            probe.body_contains = "ready".into();
        })
        .start()
        .await;
    until(|| !world.gateway.status().backends[0].is_up).await;
    assert!(world.gateway.status().backends[0].last_failure.contains("body_contains"));
    let before = seen.lock().unwrap().len();
    *answers.lock().unwrap() = "all is ready";
    until(|| world.gateway.status().backends[0].is_up).await;
    let seen = seen.lock().unwrap().clone();
    assert!(seen.len() - before >= 3, "{} probes", seen.len() - before);
    let (line, host) = seen.last().unwrap();
    assert_eq!(line.as_deref(), Some("GET /status HTTP/1.1"));
    assert_eq!(host.as_deref(), Some("model.example"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failed_call_hurries_the_probes_so_that_a_dead_backend_is_out_within_a_second() {
    let (first, second) = (named_simulator("first").await, named_simulator("second").await);
    let world = Setup::before(&[first.url(), second.url()])
        .with(|config| {
            config.pool.breaker.failures_in_a_row = 1_000;
            let probe = &mut config.backends[0].probe;
            (probe.enabled, probe.interval_ms) = (true, 3_600_000);
        })
        .start()
        .await;
    until(|| first.requests() == 1).await;
    first.set_fault(Some(Fault::Refuse));
    assert_eq!(world.post(CHAT, HELLO).await.status, 200);
    let notes = world.health(|note| note.scope == "probe" && note.state == "unhealthy").await;
    let failed = &world.story();
    let failed_at = failed.start().received_at;
    let out_after = notes.last().unwrap().noted_at.millis_since(failed_at);
    // Three probes, 250 ms apart; the rest is for a busy machine.
    assert!((500..2_000).contains(&out_after), "{out_after} ms");
    assert!(!world.gateway.status().backends[0].is_up);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_backend_finishes_its_streams_and_gets_no_new_calls() {
    let (first, second) = (named_simulator("first").await, named_simulator("second").await);
    let world = Setup::before(&[first.url(), second.url()]).start().await;
    let request = with_header(post(CHAT, HELLO_STREAM), "x-sim-fault", "stall=300");
    let mut streaming = world.open(request).await.into_body();
    http_body_util::BodyExt::frame(&mut streaming).await.unwrap().unwrap();
    world.gateway.drain("b0", gateway::Drain::Everything).unwrap();
    let status = &world.gateway.status().backends[0];
    assert_eq!((status.drain, status.in_flight), (gateway::Drain::Everything, 1));
    for _ in 0..3 {
        assert_eq!(world.post(CHAT, HELLO).await.status, 200);
    }
    assert_eq!((first.requests(), second.requests()), (1, 3));
    let rest = http_body_util::BodyExt::collect(streaming).await.unwrap().to_bytes();
    assert!(rest.trim_ascii_end().ends_with(b"[DONE]"));
    world.gateway.undrain("b0").unwrap();
    assert_eq!(world.post(CHAT, HELLO).await.status, 200);
    assert_eq!(first.requests(), 2);
    assert!(world.gateway.drain("b7", gateway::Drain::Balanced).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_call_is_hedged_only_if_told_so_and_if_it_may_be_sent_twice() {
    let slow = named_simulator("slow").await;
    let quick = named_simulator("quick").await;
    slow.set_fault(Some("slow-head=2000".parse().unwrap()));
    let threads = "/openai/threads?api-version=2024-05-01-preview";
    for (hedge, target, body, attempts) in [
        (None, CHAT, HELLO, 1),
        (Some(20), CHAT, HELLO, 2),
        (Some(20), CHAT, HELLO_STREAM, 2),
        (Some(20), threads, "{}", 1),
    ] {
        let world = Setup::before(&[slow.url(), quick.url()])
            .with(|config| {
                config.backends[0].home = true;
                config.pool.hedge_after_ms = hedge;
            })
            .start()
            .await;
        let began = std::time::Instant::now();
        let answer = world.post(target, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let is_hedged = attempts == 2;
        assert_eq!(began.elapsed() < Duration::from_millis(1_900), is_hedged, "{target}");
        let story = world.story();
        assert_eq!(story.dispatched.len(), attempts);
        assert_eq!(story.answered[0].attempt as usize, attempts);
        assert_eq!(
            (story.request.as_slice(), story.end().outcome),
            (body.as_bytes(), Outcome::Complete)
        );
        if is_hedged {
            assert!(story.end().errors[0].message.contains("b0: not waited for"), "{story:?}");
            assert_eq!(world.gateway.status().backends[0].in_flight, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hedged_call_takes_the_good_answer_whichever_it_is() {
    let first = named_simulator("first").await;
    let second = named_simulator("second").await;
    second.set_fault(Some("status=503".parse().unwrap()));
    first.set_fault(Some("slow-head=300".parse().unwrap()));
    let world = Setup::before(&[first.url(), second.url()])
        .with(|config| config.pool.hedge_after_ms = Some(20))
        .start()
        .await;
    assert_eq!(world.post(CHAT, HELLO).await.status, 200);
    let story = world.story();
    assert_eq!((story.dispatched.len(), story.answered[0].attempt), (2, 1));
    assert_eq!(story.end().errors[0].reason, "BackendAnswerDiscarded");
    let error = &story.end().errors[0].message;
    assert!(error.starts_with("The backend answered, but"), "it was reached: {error}");
    assert!(error.contains("status 503 discarded"), "{error}");
    assert_eq!(world.gateway.status().backends[1].circuits[0].failures, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_a_backends_health_is_recorded() {
    let first = named_simulator("first").await;
    let second = named_simulator("second").await;
    let world = Setup::before(&[first.url(), second.url()])
        .with(|config| {
            config.region = "here".into();
            config.pool.breaker.failures_in_a_row = 1;
            config.pool.breaker.open_ms = 10;
            config.pool.health_interval_ms = 100;
        })
        .start()
        .await;
    let told = |state: &BackendState| {
        (state.scope.clone(), state.former_state.clone(), state.state.clone(), state.reason.clone())
    };
    let is = |scope: &str, from: &str, to: &str, reason: &str| {
        (scope.to_owned(), from.to_owned(), to.to_owned(), reason.to_owned())
    };
    first.set_fault(Some("status=500".parse().unwrap()));
    assert_eq!(world.post(CHAT, HELLO).await.status, 200);
    first.set_fault(None);
    // The open circuit lets a trial through when its time is over.
    until_answered_by(&world, &first).await;
    first.set_fault(Some("status=429;retry-after-ms=60000".parse().unwrap()));
    assert_eq!(world.post(CHAT, HELLO).await.status, 200);
    world.gateway.drain("b0", gateway::Drain::Everything).unwrap();
    let notes = world.health(|note| note.scope == "drain" && note.is_periodic).await;
    let changes: Vec<_> = notes.iter().filter(|note| !note.is_periodic).map(told).collect();
    let expected = [
        is("deployment", "closed", "open", "server_error"),
        is("deployment", "open", "half_open", "time_passed"),
        is("deployment", "half_open", "closed", "answered"),
        is("deployment", "closed", "throttled", "throttled"),
        is("drain", "undrained", "everything", "operator"),
    ];
    assert_eq!(changes, expected);
    let opened = notes.iter().find(|note| note.state == "open").unwrap();
    assert_eq!((opened.backend_id.as_str(), opened.deployment.as_str()), ("b0", "gpt-4o"));
    assert_eq!((opened.status, opened.failures, opened.region.as_str()), (Some(500), 1, "here"));
    assert!((5..=10).contains(&opened.until.unwrap().millis_since(opened.noted_at)));
    let periodic: Vec<_> = notes.iter().filter(|note| note.is_periodic).map(told).collect();
    assert!(periodic.contains(&is("probe", "healthy", "healthy", "periodic")), "{periodic:?}");
}

async fn until_answered_by(world: &World, simulator: &simulator::Simulator) {
    let before = simulator.requests();
    while simulator.requests() == before {
        assert_eq!(world.post(CHAT, HELLO).await.status, 200);
    }
}

async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.expect("it comes about in time");
}
