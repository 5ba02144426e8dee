//! POSIX shell as a tree (XCU 2, Shell Command Language), with the few extensions that scripts of packages use.
//!
//! In: the text of a script. Out: its [`List`] of commands, each with the place of its text. Nothing is ever run here.
//! Bounded by the text's length and by [`MAX_DEPTH`]; what is no shell that this module knows is an [`Error`].

mod expansion;
mod parse;
#[cfg(test)]
mod tests;
mod word;

pub use parse::parse;

/// How deep commands, substitutions and expansions may be nested.
pub const MAX_DEPTH: u32 = 48;

/// Why a text is no script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read line {line} of a script: {problem}")]
pub struct Error {
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: &'static str,
}

/// Commands one after another.
pub type List = Vec<Command>;

/// A command with the place of its text: bytes from and to, in the text that was parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What it is.
    pub kind: Kind,
    /// Where its text starts.
    pub start: usize,
    /// Where its text ends.
    pub end: usize,
}

/// The kinds of commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Assignments, words and redirections.
    Simple {
        /// `NAME=word` before the command.
        assignments: Vec<(String, Word)>,
        /// The command and its arguments.
        words: Vec<Word>,
        /// Redirections.
        redirects: Vec<Redirect>,
    },
    /// `a | b`, or `! a`.
    Pipeline {
        /// Whether its status is turned round.
        negated: bool,
        /// The commands.
        stages: List,
    },
    /// `a && b || c`: flat, since whoever walks a tree has a stack.
    Chain {
        /// The first command.
        first: Box<Command>,
        /// Those that follow, `true` where `&&` stands before it, else `||`.
        rest: Vec<(bool, Command)>,
    },
    /// `{ …; }`.
    Group(List, Vec<Redirect>),
    /// `( … )`.
    Subshell(List, Vec<Redirect>),
    /// `if`, with its `elif` arms.
    If {
        /// (condition, commands).
        arms: Vec<(List, List)>,
        /// `else`.
        otherwise: List,
        /// Redirections of the whole.
        redirects: Vec<Redirect>,
    },
    /// `for NAME in …`.
    For {
        /// The variable.
        name: String,
        /// The words; the positional parameters where there is no `in`.
        words: Option<Vec<Word>>,
        /// What is repeated.
        body: List,
        /// Redirections of the whole.
        redirects: Vec<Redirect>,
    },
    /// `while` and `until`.
    While {
        /// `until`.
        until: bool,
        /// The condition.
        condition: List,
        /// What is repeated.
        body: List,
        /// Redirections of the whole.
        redirects: Vec<Redirect>,
    },
    /// `case`.
    Case {
        /// What is matched.
        word: Word,
        /// (patterns, commands).
        arms: Vec<(Vec<Word>, List)>,
        /// Redirections of the whole.
        redirects: Vec<Redirect>,
    },
    /// `name() …`.
    Function {
        /// Its name.
        name: String,
        /// Its body.
        body: Box<Command>,
    },
}

/// A redirection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The descriptor; 0 or 1 where none is written.
    pub descriptor: u32,
    /// What kind.
    pub operator: Operator,
    /// The file, the descriptor after `&`, or the text of a here-document.
    pub word: Word,
}

/// The kinds of redirections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<`.
    Read,
    /// `>` and `>|`; `&>` too.
    Write,
    /// `>>`.
    Append,
    /// `<>`.
    Both,
    /// `<&` and `>&`.
    Duplicate,
    /// `<<`, `<<-` and `<<<`.
    Here,
}

/// A word: its parts stand side by side.
pub type Word = Vec<Part>;

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text as it stands; quoted text is neither split nor a pattern.
    Text {
        /// The text.
        text: String,
        /// Whether it was quoted.
        quoted: bool,
    },
    /// `$name`, `${name…}`.
    Parameter {
        /// Name, number or special character.
        name: String,
        /// What is done with its value.
        change: Change,
        /// Whether it stands within double quotes.
        quoted: bool,
    },
    /// `$(…)` and backquotes.
    Command {
        /// The commands.
        list: List,
        /// The text that places in `list` refer to.
        text: String,
        /// Whether it stands within double quotes.
        quoted: bool,
    },
    /// `$((…))`: the expression's text.
    Arithmetic(String),
    /// An expansion that is not POSIX.
    Other,
}

/// What a parameter expansion does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The value as it is.
    None,
    /// `${#name}`.
    Length,
    /// `${name-word}`, with `:` also where it is empty.
    Default(Word, bool),
    /// `${name=word}`.
    Assign(Word, bool),
    /// `${name?word}`.
    Require(Word, bool),
    /// `${name+word}`.
    Alternative(Word, bool),
    /// `${name#pattern}`; the longest where `true`.
    Prefix(Word, bool),
    /// `${name%pattern}`; the longest where `true`.
    Suffix(Word, bool),
    /// What is not POSIX.
    Other,
}

/// Returns the beginning of a text: at most `limit` bytes, and no part of a character.
pub(crate) fn head(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}
