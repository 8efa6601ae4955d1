//! Changes of the network.

use crate::{Log, assert_faults, current, lines, log, ms, multi, only_failure, secs, sleeps};
use redd::io::{AsyncReadExt, AsyncWriteExt};
use redd::net::{TcpListener, TcpStream};
use redd::sim::{Control, FailureKind, World};
use redd::time::{Instant, sleep, timeout};
use std::collections::BTreeSet;

#[test]
fn changes_of_the_network_are_told_in_words() {
    let report = World::new(1)
        .latency(ms(1)..ms(5))
        .bandwidth(1000)
        .loss(0.1)
        .reorder(0.2)
        .duplicate(0.3)
        .short_reads(50)
        .host("a", sleeps(secs(9)))
        .host("b", sleeps(secs(9)))
        .host("c", sleeps(secs(9)))
        .at(secs(1), |w| w.partition(&["a", "b"], &["c"]))
        .at(secs(2), |w| {
            w.heal();
            w.refuse(&["a"], &["b", "c"]);
        })
        .at(secs(3), |w| {
            w.heal();
            w.latency(ms(3)..ms(3));
            w.bandwidth(None);
            w.bandwidth(Some(7));
            w.loss(0.5);
            w.reorder(0.25);
            w.duplicate(1.0);
            w.short_reads(0);
        })
        .run();
    report.expect_ok();
    assert_faults(
        &report,
        &[
            "after 1s: `a`, `b` are cut off from `c`",
            "after 2s: all hosts reach each other again",
            "after 2s: packets between `a` and `b`, `c` are refused",
            "after 3s: all hosts reach each other again",
            "after 3s: packets take 3ms",
            "after 3s: the links have no limit of bandwidth",
            "after 3s: each link carries 7 bytes per second",
            "after 3s: a packet is lost with probability 0.5",
            "after 3s: a datagram is overtaken with probability 0.25",
            "after 3s: a datagram arrives twice with probability 1",
            "after 3s: 0 % of reads and writes are short",
        ],
    );
    assert!(report.to_string().contains("\nwhat was done to it:\n  after 1s: `a`, `b` are cut off"), "{report}");
}

/// Serves one byte to each connection, and logs the address that it is bound to.
fn serves(seen: &Log) -> impl Fn() + Send + Sync + 'static {
    let seen = seen.clone();
    move || {
        let seen = seen.clone();
        multi().block_on(async move {
            let listener = TcpListener::bind("0.0.0.0:80").await.unwrap();
            loop {
                let (mut stream, peer) = listener.accept().await.unwrap();
                log(&seen, format!("{} {}", stream.local_addr().unwrap(), peer.ip()));
                drop(redd::spawn(async move {
                    while let Ok(byte) = stream.read_u8().await {
                        if stream.write_u8(byte + 1).await.is_err() {
                            break;
                        }
                    }
                }));
            }
        });
    }
}

/// Asks the server each 100 ms on a connection of its own, for some seconds. Logs the seconds in which an answer came, and the errors.
fn asks(seen: &Log, seconds: u64) -> impl Fn() + Send + Sync + 'static {
    let seen = seen.clone();
    move || {
        let seen = seen.clone();
        current().block_on(async move {
            let start = Instant::now();
            while start.elapsed() < secs(seconds) {
                let asked = start.elapsed().as_secs();
                let ask = async {
                    let mut stream = TcpStream::connect("server:80").await?;
                    stream.write_u8(1).await?;
                    stream.read_u8().await
                };
                log(
                    &seen,
                    match timeout(ms(500), ask).await {
                        Ok(Ok(answer)) => format!("{asked}: {answer}"),
                        Ok(Err(error)) => format!("{asked}: {:?}", error.kind()),
                        Err(_) => format!("{asked}: timeout"),
                    },
                );
                sleep(ms(100)).await;
            }
        });
    }
}

#[test]
fn a_restarted_host_has_its_address_and_answers_again() {
    for seed in 0..20 {
        let (served, asked) = (Log::default(), Log::default());
        let report = World::new(seed)
            .service("server", serves(&served))
            .host("client", asks(&asked, 5))
            .at(secs(1), |w| {
                w.crash("server");
                w.restart_after("server", secs(2));
            })
            .run();
        report.expect_ok();
        let lines = lines(&asked);
        for (second, expected) in [(0, true), (1, false), (2, false), (4, true)] {
            let of_second = lines.iter().filter(|line| line.starts_with(&format!("{second}: ")));
            let answers = Vec::from_iter(of_second.map(|line| line.ends_with(": 2")));
            // A request may be on its way at the crash.
            assert!(
                answers.len() > 1 && answers[1..].iter().all(|is_answer| *is_answer == expected),
                "{seed}: {lines:?}"
            );
        }
        let addresses: BTreeSet<_> = served.lock().unwrap().iter().cloned().collect();
        assert_eq!(addresses.len(), 1, "both runs have one address: {addresses:?}");
    }
}

#[test]
fn a_partition_loses_what_is_sent_until_it_is_healed_and_a_refused_link_answers_at_once() {
    for seed in 0..20 {
        let asked = Log::default();
        let report = World::new(seed)
            .service("server", serves(&Log::default()))
            .host("client", asks(&asked, 6))
            .at(secs(1), |w| w.partition(&["client"], &["server"]))
            .at(secs(2), |w| w.heal())
            .at(secs(4), |w| w.refuse(&["client"], &["server"]))
            .at(secs(5), |w| w.heal())
            .run();
        report.expect_ok();
        let lines = lines(&asked);
        for (second, expected) in [(0, "2"), (1, "timeout"), (3, "2"), (4, "ConnectionRefused"), (5, "2")] {
            let of_second = lines.iter().filter(|line| line.starts_with(&format!("{second}: ")));
            let answers = Vec::from_iter(of_second.map(|line| line.split_once(": ").unwrap().1));
            // A request may be on its way when the link changes.
            assert!(answers.len() > 1, "{seed}: {lines:?}");
            assert!(answers[1..].iter().all(|answer| *answer == expected), "{seed}, {second}: {lines:?}");
        }
    }
}

#[test]
fn latency_is_that_of_the_world_or_of_its_script() {
    let times = Log::default();
    let inside = times.clone();
    let client = move || {
        let inside = inside.clone();
        current().block_on(async move {
            let mut stream = TcpStream::connect("server:80").await.unwrap();
            for _ in 0..2 {
                let start = Instant::now();
                stream.write_u8(1).await.unwrap();
                assert_eq!(stream.read_u8().await.unwrap(), 2);
                log(&inside, format!("{:?}", start.elapsed()));
                sleep(secs(2)).await;
            }
        });
    };
    let report = World::new(1)
        .latency(ms(30)..ms(30))
        .service("server", serves(&Log::default()))
        .host("client", client)
        .at(secs(1), |w| w.latency(ms(200)..ms(200)))
        .run();
    report.expect_ok();
    assert_eq!(lines(&times), ["60ms", "400ms"]);
}

#[test]
fn settings_that_make_no_sense_are_clear_panics() {
    type Act = fn(&mut Control);
    let acts: [(Act, &str); 5] = [
        (
            |w| w.latency(ms(2)..ms(1)),
            "`Control::latency` got the range 2ms..1ms, which ends before it starts. Give the shorter",
        ),
        (|w| w.bandwidth(Some(0)), "`Control::bandwidth` got a bandwidth of 0"),
        (|w| w.loss(1.5), "`Control::loss` got the probability 1.5. Give a number from 0.0"),
        (|w| w.duplicate(f64::NAN), "`Control::duplicate` got the probability NaN"),
        (|w| w.short_reads(101), "`Control::short_reads` got 101 percent. Give a number from 0"),
    ];
    for (act, expected) in acts {
        let report = World::new(1).host("a", sleeps(secs(9))).at(secs(1), act).run();
        let (kind, _, text) = only_failure(&report);
        assert!(kind == FailureKind::Script && text.contains(expected), "{text}");
    }
}

#[test]
#[should_panic(expected = "`World::loss` got the probability -1. Give a number")]
fn a_world_checks_its_settings_before_it_runs() {
    let _ = World::new(1).loss(-1.0);
}
