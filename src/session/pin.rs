//! Why a session keeps its server connection outside a transaction.
//!
//! Owns the list of reasons and their names, which are also the metric's labels and the words in
//! the documentation. It never decides whether a reason applies: the ledger does.

use std::fmt;

/// One reason. The number is its place in [`Pin::NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Pin {
    /// A user variable that cannot be told to another connection: too large, or without a name that
    /// can be read.
    UserVariable,
    TemporaryTable,
    /// `PREPARE … FROM`: the statement lives on the connection under a name.
    TextPrepare,
    /// `GET_LOCK()`.
    UserLock,
    /// `LOCK TABLES`.
    TableLock,
    /// `LOCK INSTANCE FOR BACKUP`, `FLUSH TABLES WITH READ LOCK`, `BACKUP STAGE`.
    InstanceLock,
    /// `HANDLER … OPEN`.
    Handler,
    /// Another user than the login's: `SET SESSION AUTHORIZATION`; a `SET ROLE` amid other statements.
    Role,
    /// An open server-side cursor.
    Cursor,
    /// COM_STMT_SEND_LONG_DATA came and its execute has not.
    LongData,
    /// The last statement left more warnings than are kept: the next one may be `SHOW WARNINGS`.
    Warnings,
    /// A variable whose value cannot be told to another connection, such as `timestamp`.
    VolatileVariable,
    /// `CALL`, or a function in a `SET`: what runs inside may set user variables, take locks and
    /// insert without a word from the trackers.
    Routine,
    /// The statement could not be read to its end.
    Unreadable,
    /// The server reported a change that nothing above explains.
    Unknown,
}

impl Pin {
    pub const ALL: [Self; 15] = [
        Self::UserVariable,
        Self::TemporaryTable,
        Self::TextPrepare,
        Self::UserLock,
        Self::TableLock,
        Self::InstanceLock,
        Self::Handler,
        Self::Role,
        Self::Cursor,
        Self::LongData,
        Self::Warnings,
        Self::VolatileVariable,
        Self::Routine,
        Self::Unreadable,
        Self::Unknown,
    ];

    /// In the order of [`Pin::ALL`].
    pub const NAMES: [&'static str; 15] = [
        "user_variable",
        "temporary_table",
        "text_prepare",
        "user_lock",
        "table_lock",
        "instance_lock",
        "handler",
        "role",
        "cursor",
        "long_data",
        "warnings",
        "volatile_variable",
        "routine",
        "unreadable",
        "unknown",
    ];

    pub fn index(self) -> usize {
        self as usize
    }

    pub fn name(self) -> &'static str {
        Self::NAMES.get(self.index()).copied().unwrap_or("unknown")
    }
}

/// A set of reasons.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Pins(u32);

impl Pins {
    /// Reasons that end by themselves at the next statement.
    const PASSING: Self = Self(1 << Pin::Warnings as u8);

    /// Reasons that end with what caused them.
    const ENDING: Self = Self(
        Self::PASSING.0
            | 1 << Pin::TableLock as u8
            | 1 << Pin::Cursor as u8
            | 1 << Pin::LongData as u8,
    );

    /// Is there a reason that only a reset ends?
    pub fn any_lasting(self) -> bool {
        self.0 & !Self::ENDING.0 != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn contains(self, pin: Pin) -> bool {
        self.0 & (1 << pin as u8) != 0
    }

    pub fn insert(&mut self, pin: Pin) {
        self.0 |= 1 << pin as u8;
    }

    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn remove(&mut self, pin: Pin) {
        self.0 &= !(1 << pin as u8);
    }

    pub fn end_passing(&mut self) {
        self.0 &= !Self::PASSING.0;
    }

    /// Reasons that are here and are not in `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self(self.0 & !before.0)
    }

    /// For a place that others read, see [`Pins::from_bits`].
    pub fn bits(self) -> u32 {
        self.0
    }

    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    pub fn iter(self) -> impl Iterator<Item = Pin> {
        Pin::ALL.into_iter().filter(move |pin| self.contains(*pin))
    }
}

impl fmt::Debug for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Pin::name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pin_has_its_own_place_and_name() {
        for (index, pin) in Pin::ALL.into_iter().enumerate() {
            assert_eq!(pin.index(), index);
            assert_eq!(pin.name(), Pin::NAMES[index]);
        }
    }

    #[test]
    fn passing_reasons_end_and_others_stay() {
        let mut pins = Pins::default();
        pins.insert(Pin::Warnings);
        pins.insert(Pin::Handler);
        pins.end_passing();
        assert_eq!(pins.iter().collect::<Vec<_>>(), [Pin::Handler]);
    }
}
