//! Owns finding a name, in any case, in a list known when the program is built. Most of what is
//! looked for is not there, and this must be told in a few nanoseconds: so a hash of the length
//! and three letters, and one comparison at most times.

const SLOTS: usize = 1024;

pub(super) struct Names {
    list: &'static [&'static [u8]],
    /// 0, or 1 + the place of a name in the list.
    slots: [u8; SLOTS],
}

impl Names {
    /// The names are in lower case, and two to 64 letters long.
    pub(super) const fn new(list: &'static [&'static [u8]]) -> Self {
        assert!(list.len() < 256);
        let mut slots = [0; SLOTS];
        let mut i = 0;
        while i < list.len() {
            let mut slot = slot(list[i]);
            while slots[slot] != 0 {
                slot = (slot + 1) % SLOTS;
            }
            i += 1;
            slots[slot] = i as u8;
        }
        Self { list, slots }
    }

    /// The place in the list.
    #[inline]
    pub(super) fn find(&self, raw: &[u8]) -> Option<usize> {
        if raw.len() < 2 {
            return None;
        }
        let mut slot = slot(raw);
        loop {
            let place = usize::from(*self.slots.get(slot)?).checked_sub(1)?;
            if self.list.get(place)?.eq_ignore_ascii_case(raw) {
                return Some(place);
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

/// Letters of either case come to the same slot.
#[inline]
const fn slot(raw: &[u8]) -> usize {
    let length = raw.len();
    let letters = [raw[0], raw[length / 2], raw[length - 1], length as u8];
    let mixed = (u32::from_le_bytes(letters) | 0x0020_2020).wrapping_mul(0x9E37_79B1);
    (mixed >> 22) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_there_in_any_case_and_nothing_else() {
        static NAMES: Names = Names::new(&[b"ab", b"a_b", b"abc", b"adc"]);
        assert_eq!(NAMES.find(b"ab"), Some(0));
        assert_eq!(NAMES.find(b"A_B"), Some(1));
        assert_eq!(NAMES.find(b"aBc"), Some(2));
        assert_eq!(NAMES.find(b"ADC"), Some(3));
        assert_eq!(NAMES.find(b"acc"), None);
        assert_eq!(NAMES.find(b"a\x7fb"), None);
        assert_eq!(NAMES.find(b"a"), None);
        assert_eq!(NAMES.find(b""), None);
        assert_eq!(NAMES.find(&[b'a'; 300]), None);
    }
}
