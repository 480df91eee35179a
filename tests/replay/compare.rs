//! Whether two replies are the same.
//!
//! Owns the first difference and how it is called. What may differ is in [`super::rules`]; what no
//! rule names is compared byte for byte.

use super::{
    decode,
    reply::{Packet, Reply},
    rules::{Ids, RULES},
    step::Step,
};

#[derive(Clone, Debug)]
pub struct Difference {
    /// Of the packet in its reply.
    pub place: usize,
    pub straight: Option<Packet>,
    pub through: Option<Packet>,
    pub broken: Option<String>,
    /// What sort of difference it is, alike for alike faults.
    pub signature: String,
}

pub fn difference(
    step: &Step,
    straight: (&Reply, &Ids<'_>),
    through: (&Reply, &Ids<'_>),
) -> Option<Difference> {
    let left = normalized(step, straight);
    let right = normalized(step, through);
    let (left_broken, right_broken) = (&straight.0.broken, &through.0.broken);
    let place = (0..left.len().max(right.len())).find(|at| left.get(*at) != right.get(*at));
    if place.is_none() && left_broken.is_some() == right_broken.is_some() {
        return None;
    }
    let place = place.unwrap_or(left.len());
    let (one, other) = (left.get(place).cloned(), right.get(place).cloned());
    let text = step.to_string();
    let verb: Vec<&str> = text.split_whitespace().take(2).collect();
    let kinds = [&one, &other].map(|packet| packet.as_ref().map_or("nothing".into(), decode::kind));
    Some(Difference {
        place,
        straight: one,
        through: other,
        broken: right_broken.clone().or_else(|| left_broken.clone()),
        signature: format!("{}: {} became {}", verb.join(" "), kinds[0], kinds[1]),
    })
}

fn normalized(step: &Step, (reply, ids): (&Reply, &Ids<'_>)) -> Vec<Packet> {
    let mut packets = reply.packets.clone();
    for rule in RULES {
        (rule.apply)(step, ids, &mut packets);
    }
    packets
}
