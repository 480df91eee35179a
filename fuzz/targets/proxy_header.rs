//! What a load balancer says: whoever reads what is missing, and nothing more, stops at its end.

use tidegate::wire::ProxyHeader;

/// Of either version.
const LONGEST: usize = 16 + 2048;

pub fn run(bytes: &[u8]) {
    let _ = ProxyHeader::parse(bytes);
    let mut read = 0;
    while let Ok(ProxyHeader::Missing(more)) = ProxyHeader::parse(&bytes[..read]) {
        assert!(more > 0, "it stands still");
        assert!(read + more <= LONGEST, "it takes what nobody has paid for");
        read += more;
        if read > bytes.len() {
            return;
        }
    }
    if let Ok(ProxyHeader::Whole(source)) = ProxyHeader::parse(&bytes[..read]) {
        let with_more = [&bytes[..read], b"x"].concat();
        assert!(ProxyHeader::parse(&with_more).is_err(), "{source:?} and a byte behind it");
    }
}
