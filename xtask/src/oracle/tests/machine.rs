//! The client and the probe against a daemon on this machine.

use super::*;

/// Starts a daemon on free ports; it lives as long as the tests.
fn daemon() -> u16 {
    for port in (20_000..60_000)
        .step_by(7)
        .skip(std::process::id() as usize % 1000)
    {
        let free = |port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok();
        if free(port) && free(port + 1) {
            thread::spawn(move || baton_guest::daemon::run(port));
            return port;
        }
    }
    panic!("no free ports");
}

#[test]
fn client_and_probe_reach_a_daemon() {
    let port = daemon();
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let client = GuestClient::new(at(port));
    client.wait_ready(Duration::from_secs(5)).unwrap();
    let config = ProbeConfig {
        lanes: 4,
        ..ProbeConfig::default()
    };
    let probe = ServiceProbe::start(at(port + 1), config);

    let second = Duration::from_secs(5);
    assert_eq!(client.run(&["echo", "hi"], second).unwrap(), b"hi\n");
    assert!(client.run(&["false"], second).is_err());
    assert!(client.run(&["/no/such/program"], second).is_err());
    let cat = baton_guest::frame::Exec {
        argv: vec!["cat".into()],
        ..Default::default()
    };
    let big: Vec<u8> = (0..3_000_000_u32).map(|i| (i / 7) as u8).collect();
    assert!(client.exec(&cat, &big).unwrap().stdout == big);
    let started = std::time::Instant::now();
    assert!(client
        .run(&["sleep", "30"], Duration::from_millis(100))
        .is_err());
    assert!(started.elapsed() < Duration::from_secs(3));

    let scratch = Scratch::new();
    let (from, to) = (scratch.0.join("from"), scratch.0.join("to"));
    fs::write(&from, &big).unwrap();
    client.put(&from, to.to_str().unwrap(), 0o751).unwrap();
    assert_eq!(fs::metadata(&to).unwrap().mode() & 0o7777, 0o751);
    assert!(client.get(to.to_str().unwrap()).unwrap() == big);
    assert!(client.get("/no/such/file").is_err());
    assert!(client.put(&from, "/no/such/dir/file", 0o600).is_err());
    let log = scratch.0.join("log");
    client
        .start(&["echo", "later"], log.to_str().unwrap())
        .unwrap();
    while fs::read(&log).unwrap_or_default() != b"later\n" {
        thread::sleep(Duration::from_millis(5));
    }

    thread::sleep(Duration::from_millis(200));
    let outage = probe.stop();
    assert!(outage.replies > 5, "{outage:?}");
    assert!(
        outage.switches.is_empty() && outage.failures < outage.replies,
        "{outage:?}"
    );
    assert!(Path::new("/proc").exists());
}
