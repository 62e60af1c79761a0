//! a2: `a2-peer PORT CAFILE PUSHES [connections]`; prints CPU seconds and wall seconds.
//!
//! A task per push under way, and a client per connection. a2 signs its provider token itself. It knows no endpoint but
//! Apple's and no roots but the public ones: `build.py` replaces these two places, and nothing else, in its source.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use a2::{
    Client, ClientConfig, DefaultNotificationBuilder, Endpoint, NotificationBuilder,
    NotificationOptions, Priority, PushType,
};
use ring::rand::SystemRandom;
use ring::signature::{EcdsaKeyPair, ECDSA_P256_SHA256_FIXED_SIGNING};

const IN_FLIGHT: usize = 900; // for each connection
const WARM_UP: usize = 2000;

/// A new signing key as PEM, as Apple hands them out.
fn key() -> String {
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
        .expect("key");
    pem::encode(&pem::Pem::new("PRIVATE KEY", made.as_ref()))
}

/// Processor time of this process so far.
fn cpu() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage fills the struct it is given, and an all-zero rusage is valid should it fail.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let time =
        |spent: libc::timeval| Duration::new(spent.tv_sec as u64, spent.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}

async fn push(client: &Client, number: usize) {
    let token = format!("{number:064x}");
    let id = format!("27cfdc15-e305-27e0-e290-{number:012x}");
    let text = format!("Your order {number} has left our warehouse and will be with you tomorrow.");
    let options = NotificationOptions {
        apns_id: Some(&id),
        apns_topic: Some("com.example.app"),
        apns_push_type: Some(PushType::Alert),
        apns_priority: Some(Priority::High),
        ..Default::default()
    };
    let mut payload = DefaultNotificationBuilder::new()
        .set_title("On its way")
        .set_body(&text)
        .set_badge((number % 100) as u32)
        .build(&token, options);
    payload
        .add_custom_data("order", &number)
        .expect("a number is JSON");
    client.send(payload).await.expect("push failed");
}

async fn send(clients: &[Client], count: usize) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for client in clients {
        for _ in 0..IN_FLIGHT {
            let (client, next) = (client.clone(), next.clone());
            tasks.push(tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    push(&client, number).await;
                }
            }));
        }
    }
    for task in tasks {
        task.await.expect("push failed");
    }
}

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().collect();
    std::env::set_var("A2_PEER_HOST", format!("127.0.0.1:{}", words[1]));
    std::env::set_var("A2_PEER_CAFILE", &words[2]);
    let count: usize = words[3].parse().expect("PUSHES is a number");
    let connections: usize = words
        .get(4)
        .map_or(1, |word| word.parse().expect("connections is a number"));
    let key = key();
    let mut clients = Vec::new();
    for number in 0..connections {
        let config = ClientConfig::new(Endpoint::Sandbox);
        let client =
            Client::token(key.as_bytes(), "ABC123DEFG", "DEF123GHIJ", config).expect("client");
        push(&client, number).await; // one alone, so that all share its connection
        clients.push(client);
    }
    send(&clients, WARM_UP).await;
    let (used, begin) = (cpu(), Instant::now());
    send(&clients, count).await;
    println!(
        "{} {}",
        (cpu() - used).as_secs_f64(),
        begin.elapsed().as_secs_f64()
    );
}
