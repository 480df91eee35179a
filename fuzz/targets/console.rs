//! What an operator types: understood or refused, and never more than was typed.

use tidegate::admin::sql::{Argument, Done, Running, Statement, Takes, Verb};

fn nothing(_: Argument) -> Running {
    Box::pin(async { Ok(Done::Silently) })
}

fn verb(words: &'static str, takes: Takes) -> Verb {
    Verb { words, takes, does: "Nothing.", run: Box::new(nothing) }
}

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let verbs = [
        verb("PAUSE", Takes::Nothing),
        verb("RELOAD SECRETS", Takes::Nothing),
        verb("KILL", Takes::Client),
        verb("KILL QUERY", Takes::Client),
        verb("DRAIN", Takes::Target),
        verb("SWITCHOVER TO", Takes::Move),
    ];
    match Statement::parse(text, &verbs) {
        Ok(Statement::Verb(at, argument)) => match (verbs[at].takes, argument) {
            (Takes::Nothing, Argument::None) | (Takes::Client, Argument::Client(_)) => {}
            (Takes::Target, Argument::Target(name))
            | (Takes::Move, Argument::Move { to: name, .. }) => {
                assert!(name.len() <= text.len());
            }
            (takes, argument) => panic!("{takes:?}: {argument:?}"),
        },
        Ok(_) => {}
        Err(word) => assert!(word.message.len() < 4096, "{}", word.message.len()),
    }
}
