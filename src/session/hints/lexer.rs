//! Owns the walk over bytes: where a word, a literal, a comment begins and ends, in chunks of any
//! size and in constant memory. Never knows what a word means.
//!
//! The rules are those of the server's own lexer (`sql_lex.cc`), traps included. Where servers
//! disagree with one another about where something ends, the text is unreadable.

use memchr::{memchr, memchr2};

use super::reader::Reader;
use super::words::LONGEST;
use super::{Dialect, Reading};

/// One byte more than a word can have that matches something, so that a long one is seen to be.
const CARRIED: usize = LONGEST + 1;

/// Where between two bytes the walk stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    /// In a word that began in an earlier chunk.
    Word,
    /// After one dash.
    Dash,
    /// After two.
    Dashes,
    /// After `\`.
    Backslash,
    /// After `@`.
    At,
    /// In the unquoted name of a user variable.
    UserVariable,
    /// After `/`.
    Slash,
    /// After `/*`.
    Opened,
    /// After `/*M`.
    OpenedM,
    /// After `/*!` and so many digits.
    Version(u8),
    /// After `*`, in an executable comment.
    Star,
    Comment,
    /// After `*`, in a comment.
    CommentStar,
    /// In `/*+ … */`, with the quote that is open, or 0.
    Optimizer(u8),
    /// The same, after `*`.
    OptimizerStar(u8),
    /// In a comment to the end of the line.
    Line,
    /// In a string.
    Text(u8),
    /// In a string, after `\`.
    Escape(u8),
    /// After what is the end of a string, unless the quote comes again.
    TextQuote(u8),
    /// In a quoted identifier.
    Name(u8),
    NameQuote(u8),
}

pub(super) struct Lexer {
    dialect: Dialect,
    state: State,
    reader: Reader,
    carry: Carry,
    /// The quoted thing being read is the name of a user variable.
    naming: bool,
    /// The last byte of a literal or comment inside an executable comment.
    edge: u8,
}

impl Lexer {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            state: State::Code,
            reader: Reader::new(dialect),
            carry: Carry { length: 0, bytes: [0; CARRIED] },
            naming: false,
            edge: 0,
        }
    }

    pub(super) fn feed(&mut self, chunk: &[u8]) {
        let mut at = 0;
        while at < chunk.len() {
            at = match self.state {
                State::Code => self.code(chunk, at),
                State::Text(quote) => self.text(chunk, at, quote),
                State::Name(quote) => self.name(chunk, at, quote),
                State::Comment => self.comment(chunk, at),
                State::Line => self.line(chunk, at),
                State::Word => self.more_word(chunk, at),
                State::UserVariable => self.more_user_variable(chunk, at),
                _ => self.between(chunk, at),
            };
        }
    }

    pub(super) fn finish(mut self) -> Reading {
        match self.state {
            State::Code | State::Line | State::Dashes | State::UserVariable => {}
            State::Word => self.end_word(),
            State::Dash => self.reader.sign(b'-'),
            State::Slash => self.reader.sign(b'/'),
            State::Backslash => self.reader.sign(b'\\'),
            State::At => self.reader.user_variable(),
            State::TextQuote(_) => self.end_text(),
            State::NameQuote(_) => self.end_name(),
            _ => self.reader.unreadable(),
        }
        if self.reader.in_executable() {
            self.reader.unreadable();
        }
        self.reader.finish()
    }

    fn code(&mut self, chunk: &[u8], mut at: usize) -> usize {
        while let Some(&byte) = chunk.get(at) {
            let start = at;
            at += 1;
            match class(byte) {
                Class::Space => {}
                Class::Word => {
                    if byte == b'$' && !self.dialect.mariadb {
                        // MySQL 9 has $tag$ … $tag$ strings; older ones have it as a name.
                        self.reader.unreadable();
                    }
                    at = word_end(chunk, at);
                    let word = chunk.get(start..at).unwrap_or_default();
                    if at == chunk.len() {
                        self.carry.add(word);
                        self.state = State::Word;
                    } else {
                        self.reader.word(word);
                    }
                }
                Class::Sign => self.reader.sign(byte),
                Class::Quote => {
                    self.quote(byte);
                    return at;
                }
                Class::High => {
                    self.reader.foreign();
                }
                Class::Nul => self.reader.unreadable(),
                Class::Star => {
                    self.reader.sign(b'*');
                    if self.reader.in_executable() {
                        self.state = State::Star;
                        return at;
                    }
                }
                Class::Turn => {
                    self.state = match byte {
                        b'-' => State::Dash,
                        b'/' => State::Slash,
                        b'@' => State::At,
                        b'\\' => State::Backslash,
                        _ => State::Line,
                    };
                    self.edge = 0;
                    return at;
                }
            }
        }
        at
    }

    fn quote(&mut self, quote: u8) {
        self.edge = 0;
        self.state = if quote == b'`' || (quote == b'"' && self.dialect.ansi_quotes) {
            State::Name(quote)
        } else {
            State::Text(quote)
        };
    }

    fn text(&mut self, chunk: &[u8], at: usize, quote: u8) -> usize {
        let rest = chunk.get(at..).unwrap_or_default();
        // Without escapes, the quote is looked for twice.
        let escape = if self.dialect.no_backslash_escapes { quote } else { b'\\' };
        let found = find2(quote, escape, rest);
        let end = found.map_or(chunk.len(), |offset| at + offset);
        self.watch(chunk, at, end);
        match chunk.get(end) {
            None => {}
            Some(&byte) if byte == quote => self.state = State::TextQuote(quote),
            Some(_) => self.state = State::Escape(quote),
        }
        end + 1
    }

    fn end_text(&mut self) {
        self.state = State::Code;
        if self.naming {
            self.naming = false;
        } else {
            self.reader.literal();
        }
    }

    fn name(&mut self, chunk: &[u8], at: usize, quote: u8) -> usize {
        let rest = chunk.get(at..).unwrap_or_default();
        let end = find2(quote, 0, rest).map_or(chunk.len(), |offset| at + offset);
        self.watch(chunk, at, end);
        let part = chunk.get(at..end).unwrap_or_default();
        match (chunk.get(end), chunk.get(end + 1)) {
            // A zero byte ends the identifier for the server, and begins nobody knows what.
            (Some(0), _) => {
                self.carry.add(part);
                self.reader.unreadable();
            }
            (Some(_), Some(&next)) if next != quote && self.carry.length == 0 => {
                self.state = State::Code;
                if self.naming {
                    self.naming = false;
                } else {
                    self.reader.name(part);
                }
            }
            (Some(_), _) => {
                self.carry.add(part);
                self.state = State::NameQuote(quote);
            }
            (None, _) => self.carry.add(part),
        }
        end + 1
    }

    fn end_name(&mut self) {
        self.state = State::Code;
        if self.naming {
            self.naming = false;
        } else {
            self.reader.name(self.carry.word());
        }
        self.carry.length = 0;
    }

    fn comment(&mut self, chunk: &[u8], at: usize) -> usize {
        let Some(offset) = memchr(b'*', chunk.get(at..).unwrap_or_default()) else {
            return chunk.len();
        };
        self.state = State::CommentStar;
        at + offset + 1
    }

    fn line(&mut self, chunk: &[u8], at: usize) -> usize {
        let rest = chunk.get(at..).unwrap_or_default();
        let end = memchr2(b'\n', 0, rest).map_or(chunk.len(), |offset| at + offset);
        self.watch(chunk, at, end);
        if let Some(&byte) = chunk.get(end) {
            self.state = State::Code;
            if byte == 0 {
                // A zero byte ends the line, too.
                self.reader.unreadable();
            }
        }
        end + 1
    }

    fn more_word(&mut self, chunk: &[u8], at: usize) -> usize {
        let end = word_end(chunk, at);
        self.carry.add(chunk.get(at..end).unwrap_or_default());
        if end < chunk.len() {
            self.end_word();
        }
        end
    }

    fn end_word(&mut self) {
        self.state = State::Code;
        self.reader.word(self.carry.word());
        self.carry.length = 0;
    }

    fn more_user_variable(&mut self, chunk: &[u8], mut at: usize) -> usize {
        while let Some(&byte) = chunk.get(at) {
            if class(byte) != Class::Word && byte != b'.' {
                self.state = State::Code;
                break;
            }
            at += 1;
        }
        at
    }

    /// The states that one byte decides. Gives back `at` where that byte is to be read again.
    fn between(&mut self, chunk: &[u8], at: usize) -> usize {
        let Some(&byte) = chunk.get(at) else { return at };
        let next = at + 1;
        match self.state {
            State::TextQuote(quote) if byte == quote => self.state = State::Text(quote),
            State::TextQuote(_) => {
                self.end_text();
                return at;
            }
            State::NameQuote(quote) if byte == quote => {
                self.carry.add(&[quote]);
                self.state = State::Name(quote);
            }
            State::NameQuote(_) => {
                self.end_name();
                return at;
            }
            State::Escape(quote) => {
                self.watch(chunk, at, next);
                self.state = State::Text(quote);
            }
            State::Dash | State::Dashes => return self.dash(byte, at),
            State::At => return self.at(byte, at),
            State::Backslash => {
                // \N is NULL, and the next token may be glued to it.
                self.state = State::Code;
                self.reader.sign(b'\\');
                return if byte == b'N' { next } else { at };
            }
            State::Star => {
                self.state = State::Code;
                if byte != b'/' {
                    return at;
                }
                self.reader.leave_executable();
            }
            _ => return self.opened(byte, at),
        }
        next
    }

    fn dash(&mut self, byte: u8, at: usize) -> usize {
        match (self.state, byte) {
            (State::Dash, b'-') => {
                self.state = State::Dashes;
                return at + 1;
            }
            (State::Dash, _) => self.reader.sign(b'-'),
            // Two dashes are a comment only before a space or a control character.
            (_, 0..=b' ' | 0x7f) => {
                self.state = State::Line;
                return at;
            }
            (_, b'-') => {
                self.reader.sign(b'-');
                return at + 1;
            }
            _ => {
                if !byte.is_ascii() {
                    // A no-break space in some character sets, a letter in others.
                    self.reader.unreadable();
                }
                self.reader.sign(b'-');
                self.reader.sign(b'-');
            }
        }
        self.state = State::Code;
        at
    }

    fn at(&mut self, byte: u8, at: usize) -> usize {
        if byte == b'@' {
            self.state = State::Code;
            self.reader.system_variable();
            return at + 1;
        }
        self.reader.user_variable();
        if class(byte) == Class::Quote {
            self.naming = true;
            self.quote(byte);
            return at + 1;
        }
        self.state = State::UserVariable;
        at
    }

    /// The beginnings and ends of comments.
    fn opened(&mut self, byte: u8, at: usize) -> usize {
        match (self.state, byte) {
            (State::Slash, b'*') => {
                if self.reader.in_executable() {
                    // Servers count the ends of nested comments each in its own way.
                    self.reader.unreadable();
                }
                self.state = State::Opened;
            }
            (State::Slash, _) => {
                self.reader.sign(b'/');
                self.state = State::Code;
                return at;
            }
            (State::Opened | State::OpenedM, b'!') => {
                self.reader.enter_executable();
                self.state = State::Version(0);
            }
            (State::Opened, b'M') => self.state = State::OpenedM,
            (State::Opened, b'+') => self.state = State::Optimizer(0),
            (State::Version(digits @ 0..6), b'0'..=b'9') => {
                self.state = State::Version(digits + 1);
            }
            (State::Version(_), _) => {
                self.state = State::Code;
                return at;
            }
            (State::CommentStar | State::OptimizerStar(0), b'/') => self.state = State::Code,
            (State::OptimizerStar(_), b'/') => {
                // Inside quotes this is not the end for a server that reads such hints.
                self.reader.unreadable();
                self.state = State::Code;
            }
            (State::CommentStar, b'*') => {}
            (State::Optimizer(quote) | State::OptimizerStar(quote), b'*') => {
                self.state = State::OptimizerStar(quote);
            }
            (State::Optimizer(quote) | State::OptimizerStar(quote), _) => {
                self.state = State::Optimizer(toggle(quote, byte));
            }
            _ => {
                self.state = State::Comment;
                return at;
            }
        }
        at + 1
    }

    /// A server too old for an executable comment skips to its end without reading literals, a
    /// newer one reads them: an end inside a literal is an end for one of them only.
    fn watch(&mut self, chunk: &[u8], from: usize, to: usize) {
        if !self.reader.in_executable() {
            return;
        }
        for &byte in chunk.get(from..to).unwrap_or_default() {
            if matches!((self.edge, byte), (b'*', b'/') | (b'/', b'*')) {
                self.reader.unreadable();
            }
            self.edge = byte;
        }
    }
}

/// The first bytes of a word that the end of a chunk, or a quote inside it, has cut.
struct Carry {
    length: u8,
    bytes: [u8; CARRIED],
}

impl Carry {
    fn add(&mut self, part: &[u8]) {
        let free = self.bytes.get_mut(usize::from(self.length)..).unwrap_or_default();
        for (place, &byte) in free.iter_mut().zip(part) {
            *place = byte;
            self.length += 1;
        }
    }

    fn word(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Sign,
    Space,
    Word,
    Quote,
    /// Begins something that the next byte decides, or a line comment.
    Turn,
    Star,
    High,
    Nul,
}

#[inline]
fn class(byte: u8) -> Class {
    CLASSES[usize::from(byte)]
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Sign; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            0 => Class::Nul,
            b'\t'..=b'\r' | b' ' => Class::Space,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'$' => Class::Word,
            b'\'' | b'"' | b'`' => Class::Quote,
            b'-' | b'/' | b'@' | b'\\' | b'#' => Class::Turn,
            b'*' => Class::Star,
            0x80.. => Class::High,
            _ => Class::Sign,
        };
        byte += 1;
    }
    classes
};

#[inline]
fn word_end(chunk: &[u8], from: usize) -> usize {
    let rest = chunk.get(from..).unwrap_or_default();
    rest.iter().position(|&byte| class(byte) != Class::Word).map_or(chunk.len(), |len| from + len)
}

/// Most literals and names end at once, before a vector search has got going.
#[inline]
fn find2(one: u8, other: u8, rest: &[u8]) -> Option<usize> {
    const NEAR: usize = 16;
    let near = rest.iter().take(NEAR).position(|&byte| byte == one || byte == other);
    near.or_else(|| memchr2(one, other, rest.get(NEAR..)?).map(|offset| NEAR + offset))
}

fn toggle(open: u8, byte: u8) -> u8 {
    match byte {
        b'\'' | b'"' | b'`' if open == 0 => byte,
        _ if open == byte => 0,
        _ => open,
    }
}
