//! The 20 random bytes of a challenge, `auth-plugin-data` in the manual.

use aws_lc_rs::rand;

/// Not a secret: it travels in clear. It must only be new each time and not to be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce([u8; Self::LEN]);

impl Nonce {
    pub const LEN: usize = 20;

    /// Bytes as mysqld makes them (`generate_user_salt`): 7-bit, and neither NUL nor `$`, since
    /// clients read it as a C string.
    pub fn random() -> Self {
        let mut nonce = [0; Self::LEN];
        let mut filled = 0;
        while filled < Self::LEN {
            let mut pool = [0; 32];
            // AWS-LC aborts rather than run out of randomness, so this never turns twice; were
            // it to fail, waiting is right and a guessable nonce is not.
            if rand::fill(&mut pool).is_err() {
                continue;
            }
            for byte in pool.map(|b| b & 0x7f).into_iter().filter(|&b| b != 0 && b != b'$') {
                if let Some(slot) = nonce.get_mut(filled) {
                    *slot = byte;
                    filled += 1;
                }
            }
        }
        Self(nonce)
    }

    /// From a packet: 20 bytes, or 21 whose last is the NUL that ends the field.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let bytes = match bytes {
            [nonce @ .., 0] if nonce.len() == Self::LEN => nonce,
            other => other,
        };
        bytes.try_into().ok().map(Self)
    }

    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_a_c_string() {
        for _ in 0..500 {
            let nonce = Nonce::random();
            assert!(nonce.as_bytes().iter().all(|&b| b < 0x80 && b != 0 && b != b'$'));
            assert_ne!(nonce, Nonce::random());
        }
    }

    #[test]
    fn from_slice_takes_the_terminator_off() {
        let nonce = Nonce::random();
        let mut field = nonce.as_bytes().to_vec();
        assert_eq!(Nonce::from_slice(&field), Some(nonce));
        field.push(0);
        assert_eq!(Nonce::from_slice(&field), Some(nonce));
        field.push(0);
        assert_eq!(Nonce::from_slice(&field), None);
        assert_eq!(Nonce::from_slice(&field[..19]), None);
        assert_eq!(Nonce::from_slice(&[1; 21]), None);
    }
}
