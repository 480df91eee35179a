//! Logins from both sides. Whoever does not know the password is not let in, whoever knows it is, and
//! a server that makes no sense learns nothing where somebody may listen.

use std::sync::Arc;

use tidegate::{
    auth::{Nonce, Plugin, Proof, Prover, Verdict, Verifier, scramble},
    secrets::{Account, Password},
};

const PASSWORD: &str = "hunter2!";

pub fn run(bytes: &[u8]) {
    let [ways, said @ ..] = bytes else { return };
    let end = said.iter().position(|byte| *byte == 0).unwrap_or(said.len());
    let (plugin, answer) = (&said[..end], said.get(end + 1..).unwrap_or_default());
    verify(*ways, plugin, answer);
    prove(*ways, plugin, answer);
}

fn verify(ways: u8, plugin: &[u8], answer: &[u8]) {
    let account = Account::new("app".into(), Password::new(PASSWORD), None, None, None);
    let known = ways & 1 == 0;
    let fallback = if ways & 2 == 0 { Plugin::NativePassword } else { Plugin::CachingSha2Password };
    let nonce = Nonce::from_slice(&[7; Nonce::LEN]).expect("a nonce");
    let mut verifier = Verifier::new(nonce, known.then(|| Arc::new(account)), fallback);
    let (mut nonce, mut asked) = (nonce, None);
    let (first, second) = answer.split_at(answer.len().min(usize::from(ways >> 3)));
    let mut answered = first.to_vec();
    let mut verdict = verifier.answer(plugin, first);
    if let Verdict::Switch { plugin, nonce: fresh } = verdict {
        (nonce, asked) = (fresh, Some(plugin));
        let honest = ways & 4 == 0;
        let proof = scramble(plugin, PASSWORD.as_bytes(), &nonce);
        answered = if honest { proof } else { second.to_vec() };
        verdict = verifier.answer_switch(&answered);
        assert!(!matches!(verdict, Verdict::Switch { .. }), "there is no third try");
        assert_eq!(matches!(verdict, Verdict::Accept { .. }), honest && known);
    }
    if let Verdict::Accept { .. } = verdict {
        let spoken = asked.or(Plugin::from_name(plugin)).unwrap_or(Plugin::NativePassword);
        assert!(known && answered == scramble(spoken, PASSWORD.as_bytes(), &nonce));
    }
    assert_eq!(verifier.answer(plugin, first), Verdict::Refuse, "it is over");
}

fn prove(ways: u8, plugin: &[u8], said: &[u8]) {
    let secure = ways & 1 == 0;
    let mut prover = Prover::new(Password::new(PASSWORD), secure);
    prover.first(plugin, &[9; Nonce::LEN]);
    let mut rest = said;
    // The length of each packet stands before it.
    while let Some((len, behind)) = rest.split_first() {
        let (packet, next) = behind.split_at(behind.len().min(usize::from(*len) * 4));
        rest = next;
        match prover.on_packet(packet) {
            Ok(Proof::Send(sent)) => {
                let clear = sent.windows(PASSWORD.len()).any(|it| it == PASSWORD.as_bytes());
                assert!(secure || !clear, "the password, where somebody may listen");
            }
            Ok(Proof::Wait) => {}
            Err(_) => return,
        }
    }
}
