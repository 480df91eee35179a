//! What a load balancer says before anybody else: for whom it has connected. Versions 1 and 2 of the
//! PROXY protocol.
//!
//! What else a balancer tells (TLVs) is passed over, but for the checksum.
//!
//! <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Malformed;

const PACKET: &str = "PROXY header";

/// Line end included; the manual has counted.
const LONGEST_LINE: usize = 107;
/// `PROXY UNKNOWN` and the line end: not one byte more is read before it is known what comes.
const SHORTEST: usize = 15;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED: usize = 16;
/// Addresses and TLVs. A unix address pair has 216 bytes, a certificate's names some hundred.
const MOST: usize = 2048;

const CRC32C: u8 = 0x03;

/// For whom a balancer has connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxySource {
    Address(SocketAddr),
    /// Somebody on the balancer's own machine.
    Unix,
    /// For itself, to see whether anybody is there; or it does not know.
    Balancer,
}

/// What the bytes of a header make so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// So many more belong to it for certain: whoever reads no more never reads beyond its end.
    Missing(usize),
    Whole(ProxySource),
}

impl ProxyHeader {
    /// The first four bytes of either version: no packet of MySQL's that is sent first begins so.
    pub fn begins(bytes: [u8; 4]) -> bool {
        &bytes == b"PROX" || SIGNATURE.starts_with(&bytes)
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if agree(bytes, SIGNATURE) && !bytes.is_empty() {
            return version_2(bytes);
        }
        if !agree(bytes, b"PROXY ") {
            return Err(unexpected("the signature", bytes, 0));
        }
        version_1(bytes)
    }
}

/// As far as both go.
fn agree(bytes: &[u8], expected: &[u8]) -> bool {
    bytes.iter().zip(expected).all(|(byte, expected)| byte == expected)
}

fn version_1(bytes: &[u8]) -> Result<ProxyHeader, Malformed> {
    if bytes.len() < SHORTEST {
        return Ok(ProxyHeader::Missing(SHORTEST - bytes.len()));
    }
    let Some(end) = bytes.iter().position(|byte| *byte == b'\r') else {
        return if bytes.len() + 2 <= LONGEST_LINE {
            Ok(ProxyHeader::Missing(2))
        } else {
            Err(Malformed::TooLarge { packet: PACKET, len: bytes.len() + 2, limit: LONGEST_LINE })
        };
    };
    match bytes.get(end + 1..) {
        Some([]) if bytes.len() < LONGEST_LINE => Ok(ProxyHeader::Missing(1)),
        Some(b"\n") => line(bytes.get(..end).unwrap_or_default()).map(ProxyHeader::Whole),
        _ => Err(unexpected("the end of the line", bytes, end + 1)),
    }
}

fn line(line: &[u8]) -> Result<ProxySource, Malformed> {
    let Ok(text) = std::str::from_utf8(line) else {
        return Err(Malformed::NotUtf8 { packet: PACKET, field: "the line" });
    };
    let mut words = text.split(' ').skip(1);
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        // What follows is to be ignored.
        return Ok(ProxySource::Balancer);
    }
    let mut address = || -> Option<IpAddr> {
        let word = words.next()?;
        match family {
            "TCP4" => word.parse().ok().map(IpAddr::V4),
            "TCP6" => word.parse().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (source, destination) = (address(), address());
    let mut port = || -> Option<u16> {
        let word = words.next()?;
        word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok())?
    };
    let (source_port, destination_port) = (port(), port());
    match (source, destination, source_port, destination_port, words.next()) {
        (Some(source), Some(_), Some(port), Some(_), None) => {
            Ok(ProxySource::Address(SocketAddr::new(source, port)))
        }
        _ => Err(unexpected("two addresses and two ports", line, 6)),
    }
}

fn version_2(bytes: &[u8]) -> Result<ProxyHeader, Malformed> {
    let Some(fixed) = bytes.first_chunk::<FIXED>() else {
        let least = if bytes.len() < SHORTEST { SHORTEST } else { FIXED };
        return Ok(ProxyHeader::Missing(least - bytes.len()));
    };
    let [.., command, family, a, b] = *fixed;
    let len = usize::from(u16::from_be_bytes([a, b]));
    if len > MOST {
        return Err(Malformed::TooLarge { packet: PACKET, len, limit: MOST });
    }
    let whole = FIXED + len;
    if bytes.len() < whole {
        return Ok(ProxyHeader::Missing(whole - bytes.len()));
    }
    if bytes.len() > whole {
        return Err(Malformed::WrongLength { packet: PACKET, len: bytes.len() });
    }
    let body = bytes.get(FIXED..).unwrap_or_default();
    let source = match (command, family) {
        // What follows these is to be ignored.
        (0x20, _) | (0x21, 0x00) => return Ok(ProxyHeader::Whole(ProxySource::Balancer)),
        (0x21, 0x11) => inet::<4>(body).map(|(ip, port)| (Ipv4Addr::from(ip).into(), port)),
        (0x21, 0x21) => inet::<16>(body).map(|(ip, port)| (Ipv6Addr::from(ip).into(), port)),
        (0x21, 0x31) => {
            let rest = body.get(2 * 108..).ok_or(short(body))?;
            tlvs(bytes, rest)?;
            return Ok(ProxyHeader::Whole(ProxySource::Unix));
        }
        (0x21, _) => return Err(unexpected("a family of streams", bytes, 13)),
        _ => return Err(unexpected("version 2 and a command", bytes, 12)),
    };
    let (ip, port): (IpAddr, u16) = source.ok_or(short(body))?;
    let addresses = if ip.is_ipv4() { 12 } else { 36 };
    tlvs(bytes, body.get(addresses..).ok_or(short(body))?)?;
    Ok(ProxyHeader::Whole(ProxySource::Address(SocketAddr::new(ip, port))))
}

/// Source, destination, and their ports.
fn inet<const N: usize>(body: &[u8]) -> Option<([u8; N], u16)> {
    let source = *body.first_chunk::<N>()?;
    let port = *body.get(2 * N..)?.first_chunk::<2>()?;
    Some((source, u16::from_be_bytes(port)))
}

/// Each is whole, and the checksum, where there is one, is right.
fn tlvs(header: &[u8], mut rest: &[u8]) -> Result<(), Malformed> {
    while let Some(([kind, a, b], behind)) = rest.split_first_chunk::<3>() {
        let len = usize::from(u16::from_be_bytes([*a, *b]));
        let (value, next) = behind.split_at_checked(len).ok_or(short(header))?;
        if *kind == CRC32C {
            let said: [u8; 4] = value.try_into().map_err(|_| short(header))?;
            let at = header.len() - behind.len();
            let counted = header
                .iter()
                .enumerate()
                .map(|(index, byte)| if (at..at + 4).contains(&index) { 0 } else { *byte });
            if crc32c(counted) != u32::from_be_bytes(said) {
                return Err(unexpected("the checksum", header, at));
            }
        }
        rest = next;
    }
    if rest.is_empty() { Ok(()) } else { Err(short(header)) }
}

/// Castagnoli's, bit by bit: a header is short, and one a connection.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    !bytes.fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 }
        })
    })
}

fn short(seen: &[u8]) -> Malformed {
    Malformed::Short { packet: PACKET, at: seen.len() }
}

fn unexpected(field: &'static str, seen: &[u8], at: usize) -> Malformed {
    let seen = seen.get(at).copied().unwrap_or_default();
    Malformed::Unexpected { packet: PACKET, field, seen, at }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn source(bytes: &[u8]) -> ProxySource {
        match ProxyHeader::parse(bytes) {
            Ok(ProxyHeader::Whole(source)) => source,
            other => panic!("{other:?}"),
        }
    }

    fn wrong(bytes: &[u8]) -> bool {
        ProxyHeader::parse(bytes).is_err()
    }

    fn address(text: &str) -> ProxySource {
        ProxySource::Address(text.parse().unwrap())
    }

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len()).unwrap().to_be_bytes();
        [SIGNATURE.as_slice(), &[command, family], &len, body].concat()
    }

    const INET: [u8; 12] = [192, 168, 0, 1, 192, 168, 0, 11, 0xdc, 0x04, 0x0c, 0xea];

    #[test]
    fn version_1_as_the_manual_shows_it() {
        let said = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n";
        assert_eq!(source(said), address("192.168.0.1:56324"));
        let longest = b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff \
                        ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
        let v6 = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535";
        assert_eq!(source(longest), address(v6));
        assert_eq!(source(b"PROXY UNKNOWN\r\n"), ProxySource::Balancer);
        let unknown = b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n";
        assert_eq!(source(unknown), ProxySource::Balancer);
    }

    #[test]
    fn version_1_that_is_none() {
        for line in [
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324\r\n",
            "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443 1\r\n",
            "PROXY TCP4 ::1 ::1 56324 443\r\n",
            "PROXY TCP6 1.1.1.1 1.1.1.1 56324 443\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 +80 443\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 65536 443\r\n",
            "PROXY TCP4  1.1.1.1 1.1.1.1 1 443\r\n",
            "PROXY UDP4 1.1.1.1 1.1.1.1 1 443\r\n",
            "PROXY UNKNOWN\r\r\n",
            "PROXY TCP4 1.1.1.1 1.1.1.1 1 443\r\nx",
            "PROXY\tTCP4 1.1.1.1 1.1.1.1 1 443\r\n",
            "GET / HTTP/1.1\r\n",
        ] {
            assert!(wrong(line.as_bytes()), "{line:?}");
        }
        let endless = format!("PROXY UNKNOWN {}", "x".repeat(92));
        assert!(wrong(endless.as_bytes()));
    }

    #[test]
    fn version_2() {
        assert_eq!(source(&v2(0x21, 0x11, &INET)), address("192.168.0.1:56324"));
        let mut inet6 = [0; 36];
        inet6[15] = 1;
        inet6[32..34].copy_from_slice(&[0x12, 0x34]);
        assert_eq!(source(&v2(0x21, 0x21, &inet6)), address("[::1]:4660"));
        assert_eq!(source(&v2(0x21, 0x31, &[b'/'; 216])), ProxySource::Unix);
        assert_eq!(source(&v2(0x20, 0x11, &INET)), ProxySource::Balancer);
        assert_eq!(source(&v2(0x20, 0x00, b"")), ProxySource::Balancer);
        assert_eq!(source(&v2(0x21, 0x00, b"whatever")), ProxySource::Balancer);
        let with_tlvs = [&INET[..], b"\x04\0\x02no", b"\xEE\0\0"].concat();
        assert_eq!(source(&v2(0x21, 0x11, &with_tlvs)), address("192.168.0.1:56324"));
    }

    #[test]
    fn version_2_that_is_none() {
        assert!(wrong(&v2(0x11, 0x11, &INET)), "version 1");
        assert!(wrong(&v2(0x22, 0x11, &INET)), "no such command");
        assert!(wrong(&v2(0x21, 0x12, &INET)), "datagrams");
        assert!(wrong(&v2(0x21, 0x41, &INET)), "no such family");
        assert!(wrong(&v2(0x21, 0x11, &INET[..11])));
        assert!(wrong(&v2(0x21, 0x21, &[0; 35])));
        assert!(wrong(&v2(0x21, 0x31, &[0; 215])));
        assert!(wrong(&v2(0x21, 0x11, &[0; MOST + 1])));
        for cut in [b"\x04".as_slice(), b"\x04\0\x02n", b"\x03\0\x03abc"] {
            assert!(wrong(&v2(0x21, 0x11, &[&INET[..], cut].concat())), "{cut:?}");
        }
        let mut more = v2(0x21, 0x11, &INET);
        more.push(0);
        assert!(wrong(&more));
    }

    #[test]
    fn a_checksum_is_held_to() {
        assert_eq!(crc32c(b"123456789".iter().copied()), 0xE306_9283);
        let body = [&INET[..], b"\x03\0\x04\0\0\0\0", b"\x04\0\0"].concat();
        let mut header = v2(0x21, 0x11, &body);
        assert!(wrong(&header));
        let sum = crc32c(header.iter().copied()).to_be_bytes();
        let at = FIXED + INET.len() + 3;
        header[at..at + 4].copy_from_slice(&sum);
        assert_eq!(source(&header), address("192.168.0.1:56324"));
        header[17] ^= 1;
        assert!(wrong(&header));
    }

    #[test]
    fn what_it_begins_with() {
        assert!(ProxyHeader::begins(*b"PROX"));
        assert!(ProxyHeader::begins(*b"\r\n\r\n"));
        assert!(!ProxyHeader::begins([0x20, 0, 0, 1]));
    }

    /// Whoever reads what is missing, and nothing else, ends at the end of the header.
    fn read(header: &[u8]) -> Result<(ProxySource, usize), Malformed> {
        let mut here = 0;
        loop {
            match ProxyHeader::parse(&header[..here])? {
                ProxyHeader::Whole(source) => return Ok((source, here)),
                ProxyHeader::Missing(more) => {
                    assert!(more > 0);
                    here += more;
                    assert!(here <= FIXED + MOST);
                    if here > header.len() {
                        return Err(short(header));
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_behind_it_is_read(
            ip: [u8; 4], port: u16, tlv in proptest::collection::vec(any::<u8>(), 0..300), behind: Vec<u8>,
        ) {
            let from = SocketAddr::from((ip, port));
            let line = format!("PROXY TCP4 {} 10.0.0.1 {port} 3306\r\n", from.ip());
            let tlv_len = u16::try_from(tlv.len()).unwrap().to_be_bytes();
            let [a, b] = port.to_be_bytes();
            let body =
                [&ip[..], &[10, 0, 0, 1, a, b, 12, 234], &[0xE0], &tlv_len, &tlv].concat();
            for header in [line.into_bytes(), v2(0x21, 0x11, &body)] {
                let sent = [&header[..], &behind].concat();
                prop_assert_eq!(read(&sent), Ok((ProxySource::Address(from), header.len())));
            }
        }

        #[test]
        fn nothing_panics(signed: bool, bytes: Vec<u8>) {
            let head: &[u8] = if signed { SIGNATURE } else { b"PROXY TCP" };
            let _ = read(&[head, &bytes].concat());
            let _ = ProxyHeader::parse(&bytes);
        }
    }
}
