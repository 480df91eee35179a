//! The names of endpoints, each with a number that stays its own while endpoints come and go.

use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub(super) struct Doors(Mutex<Vec<String>>);

impl Doors {
    /// The same for the same name; of more than there are numbers the rest share the last.
    pub fn number_of(&self, name: &str) -> u16 {
        let mut names = self.names_locked();
        let place = names.iter().position(|known| known == name).unwrap_or_else(|| {
            if u16::try_from(names.len()).is_ok() {
                names.push(name.to_owned());
            }
            names.len() - 1
        });
        u16::try_from(place).unwrap_or(u16::MAX)
    }

    pub fn name_of(&self, number: u16) -> Option<String> {
        self.names_locked().get(usize::from(number)).cloned()
    }

    pub fn names(&self) -> Vec<String> {
        self.names_locked().clone()
    }

    fn names_locked(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number() {
        let doors = Doors::default();
        assert_eq!((doors.number_of("a"), doors.number_of("b"), doors.number_of("a")), (0, 1, 0));
        assert_eq!(doors.names(), ["a", "b"]);
    }
}
