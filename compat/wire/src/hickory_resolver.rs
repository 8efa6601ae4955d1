//! hickory-resolver: names of a zone that hickory-server provides on loopback, over UDP, and over TCP for large
//! answers. Also names that do not exist, a cache, and a server that does not answer.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use harness::{Outcome, ensure};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::rdata::{A, CNAME, MX, SOA, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record};
use hickory_server::Server;
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

const ZONE: &str = "compat.test.";

pub(crate) async fn run() -> Outcome {
    let (udp, tcp) = sockets().await?;
    let address = udp.local_addr()?;
    let mut catalog = Catalog::new();
    catalog.upsert(Name::from_ascii(ZONE)?.into(), vec![Arc::new(zone()?)]);
    let mut server = Server::new(catalog);
    server.register_socket(udp);
    server.register_listener(tcp, Duration::from_secs(5), 1 << 16);

    let resolver = resolver(address, |_| {})?;
    let found: BTreeSet<IpAddr> = resolver.lookup_ip("www.compat.test.").await?.iter().collect();
    ensure(found == BTreeSet::from([address_of(1), address_of(2)]), "a name has two addresses")?;
    let found = resolver.lookup_ip("alias.compat.test.").await?;
    ensure(found.iter().count() == 2, "an alias leads to them")?;
    let mail = resolver.mx_lookup("compat.test.").await?;
    let is_mail = |record: &Record| matches!(&record.data, RData::MX(mx) if mx.preference == 10);
    ensure(mail.answers().iter().any(is_mail), "mail goes where it should")?;
    let missing = resolver.lookup_ip("missing.compat.test.").await;
    ensure(missing.is_err_and(|error| error.is_nx_domain()), "a name that is not there is not found")?;

    // This answer is too large for a datagram, so the resolver asks again over TCP.
    let large = resolver.txt_lookup("large.compat.test.").await?;
    ensure(large.answers().len() == 40, "a large answer comes whole")?;

    let mut tasks = JoinSet::new();
    for number in 0..100_u8 {
        let resolver = resolver.clone();
        tasks.spawn(async move {
            let found = resolver.lookup_ip(format!("host{number}.compat.test.")).await?;
            Ok::<_, hickory_resolver::net::NetError>(found.iter().eq([address_of(number)]))
        });
    }
    while let Some(is_own) = tasks.join_next().await {
        ensure(is_own??, "each of 100 tasks gets its own answer")?;
    }

    silence(address).await?;
    server.shutdown_gracefully().await?;
    let found = resolver.lookup_ip("host7.compat.test.").await?;
    ensure(found.iter().eq([address_of(7)]), "the cache still has a name after the server has ended")
}

/// One port for UDP and TCP. Another process may already use it for one of them.
async fn sockets() -> std::io::Result<(UdpSocket, TcpListener)> {
    let mut taken = Vec::new();
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) if taken.len() == 20 => return Err(error),
            // This socket is kept, so that the next try gets another port.
            Err(_) => taken.push(udp),
        }
    }
}

fn resolver(
    server: SocketAddr,
    change: impl FnOnce(&mut ResolverOpts),
) -> Result<TokioResolver, Box<dyn std::error::Error + Send + Sync>> {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    let server = NameServerConfig::new(server.ip(), true, connections.to_vec());
    let config = ResolverConfig::from_name_servers(vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    builder.options_mut().use_hosts_file = ResolveHosts::Never;
    change(builder.options_mut());
    Ok(builder.build()?)
}

/// A server that receives queries and never replies; then one that replies at the second attempt.
async fn silence(server: SocketAddr) -> Outcome {
    let silent = UdpSocket::bind("127.0.0.1:0").await?;
    let impatient = |options: &mut ResolverOpts| {
        options.timeout = Duration::from_millis(50);
        options.attempts = 2;
    };
    let unanswered = resolver(silent.local_addr()?, impatient)?;
    let error = unanswered.lookup_ip("www.compat.test.").await;
    ensure(error.is_err(), "a server that says nothing is given up")?;

    // The first query is dropped, all others are forwarded.
    let (front, back) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    back.connect(server).await?;
    let address = front.local_addr()?;
    let forwarder = tokio::spawn(async move {
        let mut buffer = vec![0; 4096];
        front.recv_from(&mut buffer).await?;
        loop {
            let (length, client) = front.recv_from(&mut buffer).await?;
            back.send(&buffer[..length]).await?;
            let length = back.recv(&mut buffer).await?;
            front.send_to(&buffer[..length], client).await?;
        }
        #[expect(unreachable_code, reason = "the type of the task's output")]
        std::io::Result::Ok(())
    });
    let patient = |options: &mut ResolverOpts| {
        options.timeout = Duration::from_millis(500);
        options.attempts = 8;
    };
    let found = resolver(address, patient)?.lookup_ip("host1.compat.test.").await?;
    ensure(found.iter().eq([address_of(1)]), "a lost query is repeated")?;
    forwarder.abort();
    ensure(forwarder.await.is_err_and(|error| error.is_cancelled()), "the forwarder is aborted")
}

fn address_of(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, number))
}

fn zone() -> Result<InMemoryZoneHandler, Box<dyn std::error::Error + Send + Sync>> {
    let origin = Name::from_ascii(ZONE)?;
    let mut zone = InMemoryZoneHandler::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny);
    let mut add = |name: &str, data: RData| -> Outcome {
        let name = if name.is_empty() { origin.clone() } else { Name::from_ascii(name)?.append_domain(&origin)? };
        ensure(zone.upsert_mut(Record::from_rdata(name, 300, data), 1), "a record is added to the zone")
    };
    let v4 = |number| match address_of(number) {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(_) => unreachable!("they are all of version 4"),
    };
    let server = Name::from_ascii("ns.compat.test.")?;
    add("", RData::SOA(SOA::new(server.clone(), server, 1, 300, 300, 3000, 300)))?;
    add("", RData::MX(MX::new(10, Name::from_ascii("www.compat.test.")?)))?;
    add("www", v4(1))?;
    add("www", v4(2))?;
    add("alias", RData::CNAME(CNAME(Name::from_ascii("www.compat.test.")?)))?;
    for number in 0..100 {
        add(&format!("host{number}"), v4(number))?;
    }
    for number in 0..40 {
        add("large", RData::TXT(TXT::new(vec![format!("{number}: {}", "x".repeat(200))])))?;
    }
    Ok(zone)
}
