//! How fast the simulator is as a load-test backend. Run in release: `--ignored --nocapture`.

use std::time::{Duration, Instant};

use simulator::SimulatorConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{DATED, start_with};

/// Time this thread has spent on a core.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

#[test]
#[ignore = "a measurement, not a check"]
#[expect(clippy::print_stdout, reason = "the measurement is for a person to read")]
fn unary_chats_per_second_on_one_thread() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = SimulatorConfig { requests_kept_max: 0, ..SimulatorConfig::default() };
    let (address, receive) = std::sync::mpsc::sync_channel(1);
    let (result, rate) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        runtime().block_on(async {
            let simulator = start_with(config).await;
            address.send(simulator.addr()).unwrap();
            tokio::time::sleep(Duration::from_secs(6)).await;
            let served = simulator.requests();
            simulator.stop().await;
            result.send(served as f64 / cpu_seconds()).unwrap();
        });
    });
    let addr = receive.recv().unwrap();
    runtime().block_on(async {
        let body = r#"{"messages":[{"role":"user","content":"What is the capital of France?"}]}"#;
        let request = format!("POST /openai/deployments/gpt-4o/chat/completions?{DATED} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let end = Instant::now() + Duration::from_secs(4);
        let begin = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..32 {
            let request = request.clone();
            tasks.spawn(async move {
                let mut stream = TcpStream::connect(addr).await.unwrap();
                let mut buffer = vec![0u8; 65_536];
                let mut count = 0u64;
                while Instant::now() < end {
                    stream.write_all(request.as_bytes()).await.unwrap();
                    // Answers to equal requests end alike: with the line end behind the JSON.
                    loop {
                        let len = stream.read(&mut buffer).await.unwrap();
                        if buffer[..len].ends_with(b"}\n") {
                            break;
                        }
                    }
                    count += 1;
                }
                count
            });
        }
        let mut total = 0;
        while let Some(count) = tasks.join_next().await {
            total += count.unwrap();
        }
        println!("{:.0} requests/s of wall time", total as f64 / begin.elapsed().as_secs_f64());
    });
    println!("{:.0} requests for each second of the server's core", rate.recv().unwrap());
}
