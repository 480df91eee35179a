//! Counters and gauges that differ in one label, found by an index instead of by their words.

use std::marker::PhantomData;

use prometheus::IntCounter;

/// One metric for each of a list of label values, all made at the start.
#[derive(Debug)]
pub struct Family<M = IntCounter> {
    known: Box<[M]>,
    spare: M,
}

impl<M> Family<M> {
    /// `spare` is for what is not on the list: a wrong index is counted, and never a panic.
    pub(super) fn new(known: Vec<M>, spare: M) -> Self {
        Self { known: known.into(), spare }
    }

    pub fn at(&self, index: usize) -> &M {
        self.known.get(index).unwrap_or(&self.spare)
    }
}

/// A label whose values are known when this is compiled.
pub trait Label: Copy + 'static {
    const VALUES: &'static [&'static str];

    fn index(self) -> usize;
}

/// A [`Family`] over such a label.
#[derive(Debug)]
pub struct By<L, M = IntCounter> {
    family: Family<M>,
    label: PhantomData<fn(L)>,
}

impl<L: Label, M> By<L, M> {
    pub(super) fn new(family: Family<M>) -> Self {
        Self { family, label: PhantomData }
    }

    pub fn of(&self, label: L) -> &M {
        self.family.at(label.index())
    }
}

/// An enum and its words, in one order.
macro_rules! label {
    ($(#[$meta:meta])* $name:ident {
        $($(#[$of:meta])* $variant:ident = $value:literal),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$of])* $variant),+
        }

        impl $crate::metrics::Label for $name {
            const VALUES: &'static [&'static str] = &[$($value),+];

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

pub(super) use label;
