//! Names and addresses.

use crate::at::{At, Out, once};
use crate::show::Word;
use crate::table::{Case, case};
use redd::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket, lookup_host};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

pub(crate) const CASES: &[Case] = &[
    case!(literals_are_addresses, "address [127.0.0.1:80]; address [[::1]:65535]; address [10.1.2.3:0]"),
    case!(literals_need_no_resolver, "text 1; pair 1; empty InvalidInput"),
    case!(pairs_of_address_and_port, "v4 127.0.0.1:1; v6 [::1]:2; ip 10.0.0.1:3; text 127.0.0.1:4"),
    case!(lists_of_addresses, "list true; none 0"),
    case!(localhost_is_loopback, "v4 true; loopback true"),
    case!(localhost_has_the_port, "port true"),
    case!(a_name_that_does_not_exist, "error true; connect true"),
    case!(
        malformed_addresses,
        "lookup InvalidInput; lookup InvalidInput; lookup InvalidInput; lookup InvalidInput; lookup InvalidInput; lookup InvalidInput; lookup InvalidInput"
    ),
    case!(
        malformed_addresses_in_every_function,
        "connect InvalidInput; bind InvalidInput; udp InvalidInput; send InvalidInput"
    ),
    case!(bind_by_name, "loopback true"),
    case!(udp_by_name, "peer true"),
];

async fn all(host: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    lookup_host(host).await.map(Iterator::collect)
}

async fn literals_are_addresses(at: At) -> Out {
    for literal in ["127.0.0.1:80", "[::1]:65535", "10.1.2.3:0"] {
        at.see("address", Word(format!("{:?}", all(literal).await?)));
    }
    Ok(())
}

async fn literals_need_no_resolver(at: At) -> Out {
    at.see("text", once(async { all("127.0.0.1:80").await.map(|all| all.len()) }));
    at.see("pair", once(async { all(("::1", 80)).await.map(|all| all.len()) }));
    at.see("empty", once(async { all("").await.map(|all| all.len()) }));
    Ok(())
}

async fn pairs_of_address_and_port(at: At) -> Out {
    at.see("v4", Word(all((Ipv4Addr::LOCALHOST, 1)).await?[0]));
    at.see("v6", Word(all((Ipv6Addr::LOCALHOST, 2)).await?[0]));
    at.see("ip", Word(all((IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 3)).await?[0]));
    at.see("text", Word(all(("127.0.0.1".to_owned(), 4)).await?[0]));
    Ok(())
}

async fn lists_of_addresses(at: At) -> Out {
    let list: [SocketAddr; 2] = [([127, 0, 0, 1], 1).into(), ([127, 0, 0, 2], 2).into()];
    at.see("list", all(&list[..]).await? == list);
    at.see("none", all(&list[..0]).await?.len());
    Ok(())
}

async fn localhost_is_loopback(at: At) -> Out {
    let addresses = all("localhost:80").await?;
    at.see("v4", addresses.iter().any(|address| address.ip() == Ipv4Addr::LOCALHOST));
    at.see("loopback", addresses.iter().all(|address| address.ip().is_loopback()));
    Ok(())
}

async fn localhost_has_the_port(at: At) -> Out {
    let addresses = all(("localhost", 8080)).await?;
    at.see("port", !addresses.is_empty() && addresses.iter().all(|address| address.port() == 8080));
    Ok(())
}

/// Its text depends on the system's resolver. A name of RFC 6761 never exists.
async fn a_name_that_does_not_exist(at: At) -> Out {
    at.see("error", all("does-not-exist.invalid:80").await.is_err());
    at.see("connect", TcpStream::connect("does-not-exist.invalid:80").await.is_err());
    Ok(())
}

async fn malformed_addresses(at: At) -> Out {
    for wrong in ["", "localhost", "localhost:", "localhost:http", "127.0.0.1:65536", ":80", "a\0b:80"] {
        at.see("lookup", all(wrong).await.map(|_| ()));
    }
    Ok(())
}

async fn malformed_addresses_in_every_function(at: At) -> Out {
    at.see("connect", TcpStream::connect("no port").await.map(drop));
    at.see("bind", TcpListener::bind("127.0.0.1:70000").await.map(drop));
    at.see("udp", UdpSocket::bind("127.0.0.1").await.map(drop));
    at.see("send", UdpSocket::bind("127.0.0.1:0").await?.send_to(b"x", "nowhere").await);
    Ok(())
}

async fn bind_by_name(at: At) -> Out {
    let listener = TcpListener::bind("localhost:0").await?;
    at.see("loopback", listener.local_addr()?.ip().is_loopback());
    Ok(())
}

async fn udp_by_name(at: At) -> Out {
    let socket = UdpSocket::bind("localhost:0").await?;
    socket.connect(("localhost", socket.local_addr()?.port())).await?;
    at.see("peer", socket.peer_addr()? == socket.local_addr()?);
    Ok(())
}
