//! Configuration: the file, the environment and the command line, made into one [`Settings`].
//!
//! It owns every key, its default, its bounds, and the words about a mistake. It reports all
//! mistakes of a configuration at once. It never opens what a path names (secrets, certificates),
//! never resolves or binds an address, and never reads the process environment by itself.

mod address;
mod choice;
mod difference;
mod duration;
mod listing;
mod live;
mod mistake;
mod nearest;
mod networks;
mod overlay;
mod promotion;
mod read;
mod scalar;
mod section;
mod settings;
mod share;
mod source;
mod tokens;
mod tree;

pub use address::{Address, BadAddress};
pub use choice::Choice;
pub use difference::{Change, Effect, difference, taken_up};
pub use duration::parse as parse_duration;
pub use listing::HIDDEN;
pub use live::LiveDuration;
pub use mistake::{Mistake, Mistakes, Place};
pub use nearest::nearest;
pub use promotion::{FenceCommand, Promote};
pub use settings::{
    Access, Admin, Client, ClientTlsMode, Endpoint, Failover, KeyPair, Log, LogFormat, LogLevel,
    Pool, Role, SecretsCommand, Settings, Target, TargetTlsMode, TlsClient, TlsTarget, Upgrade,
};
pub use share::Share;
pub use source::{Source, from_environment, load, parse, quick};
pub use tokens::TokenRules;

/// What the name of an environment variable that sets a key begins with.
pub const VARIABLE_PREFIX: &str = "TIDEGATE__";

/// The configuration in force, which a reload replaces whole.
pub type InForce = arc_swap::ArcSwap<Settings>;
