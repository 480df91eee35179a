//! A request of 16 MB or more that has grown or shrunk on its way, sent as it comes.

use bytes::BytesMut;

use super::End;
use super::exchange::Sent;
use super::inbound::Incoming;
use super::prepare::Rewritten;
use super::restore::Prefix;
use super::serve::{Session, in_time};
use crate::metrics::Direction;
use crate::pool::Borrowed;
use crate::wire::{HEADER_LEN, MAX_PAYLOAD, Recut};

impl Session {
    /// As [`Session::send`]; `front` takes the place of what is in the buffer.
    pub(super) async fn send_recut(
        &mut self,
        borrowed: &mut Borrowed,
        prefix: &Prefix,
        front: &Rewritten,
        incoming: Incoming,
    ) -> Result<Sent, End> {
        let stream = &mut borrowed.stream;
        let (mut recut, mut out) = (Recut::default(), BytesMut::from(&prefix.bytes[..]));
        let mut header = incoming.header;
        recut.announce(front.payload_of(incoming), header.len < MAX_PAYLOAD, &mut out);
        recut.push(front.0.get(HEADER_LEN..).unwrap_or_default(), &mut out);
        // Sent in another shape, it cannot be sent again as it was.
        self.inbound.keep(0);
        self.inbound.consume(incoming.here);
        let mut left = HEADER_LEN + header.len - incoming.here;
        let mut took_it = true;
        loop {
            while left > 0 {
                let more = self.inbound.more(&mut self.stream, left);
                let more = in_time(&self.presence, more).await.map_err(|_| End::HungUp)?;
                recut.push(more, &mut out);
                took_it = took_it && stream.send(&out).await.is_ok();
                out.clear();
                let count = more.len();
                self.inbound.consume(count);
                self.shared.metrics.client.bytes.of(Direction::In).inc_by(count as u64);
                left -= count;
            }
            if header.len < MAX_PAYLOAD {
                recut.end(&mut out);
                took_it = took_it && (out.is_empty() || stream.send(&out).await.is_ok());
                let (seq, server_seq) = (header.seq.wrapping_add(1), recut.seq());
                return Ok(Sent { seq, server_seq, took_it });
            }
            let next = self.inbound.header(&mut self.stream);
            header = in_time(&self.presence, next).await.map_err(|_| End::HungUp)?;
            left = header.len;
            recut.announce(header.len, header.len < MAX_PAYLOAD, &mut out);
        }
    }
}
