//! What is offered, and how the scripts of the shells get to know it: a line that says what kind of thing
//! follows, then a line for each candidate: its value, a tab, what it is.
//!
//! Commands are other people's text: what it is stands on one line, without control characters, and short.

use clap::builder::StyledStr;

use crate::text::escape_text;

/// What a candidate is has so many characters at the most.
const ABOUT_MAX: usize = 60;

/// What may stand where the cursor is.
#[derive(Debug, PartialEq)]
pub enum Offer {
    /// One of these.
    Candidates(Vec<Candidate>),
    /// A file.
    Files,
    /// A folder.
    Folders,
    /// Whatever can stand there in the command that begins with the word of this number, from 0.
    Command(usize),
}

/// A word that can be typed.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The word.
    pub value: String,
    /// What it is; may be empty.
    about: String,
    /// Does bash show it too, which shows no descriptions?
    is_told: bool,
}

impl Candidate {
    /// One whose first line of help is known.
    pub fn new(value: impl Into<String>, help: Option<&StyledStr>) -> Self {
        let help = help.map(StyledStr::to_string).unwrap_or_default();
        let first = help.lines().next().unwrap_or_default();
        Self {
            about: cut(first),
            ..Self::bare(value.into())
        }
    }

    /// One that says all by itself.
    pub fn bare(value: String) -> Self {
        Self {
            value,
            about: String::new(),
            is_told: false,
        }
    }

    /// One that says nothing without its description.
    pub fn told(value: String, about: &str) -> Self {
        Self {
            value,
            about: cut(about),
            is_told: true,
        }
    }
}

impl Offer {
    /// Nothing.
    pub fn none() -> Self {
        Self::Candidates(Vec::new())
    }

    /// Those of `candidates` that begin with what was `typed`.
    pub fn matching(mut candidates: Vec<Candidate>, typed: &str) -> Self {
        candidates.retain(|one| one.value.starts_with(typed));
        Self::Candidates(candidates)
    }

    /// The same, with `prefix` before each value.
    pub fn behind(self, prefix: &str) -> Self {
        let Self::Candidates(mut candidates) = self else {
            return self;
        };
        for one in &mut candidates {
            one.value.insert_str(0, prefix);
        }
        Self::Candidates(candidates)
    }
}

/// The words of a call up to the cursor, each with where it begins in the line, in characters.
#[derive(Debug)]
pub struct Words {
    texts: Vec<String>,
    starts: Vec<usize>,
}

impl Words {
    /// The words, the program's name first.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// The words of a line of bash, without their quotes; the last one may be empty, or unfinished.
    fn of_line(line: &str) -> Self {
        let mut words = Self {
            texts: vec![String::new()],
            starts: vec![0],
        };
        let (mut quote, mut begun) = (None, false);
        let mut characters = line.chars().enumerate();
        while let Some((at, c)) = characters.next() {
            if quote.is_none() && c.is_whitespace() {
                if begun {
                    words.texts.push(String::new());
                    words.starts.push(at + 1);
                }
                begun = false;
                words.starts.pop();
                words.starts.push(at + 1);
                continue;
            }
            begun = true;
            let word = words.texts.last_mut().expect("there is always one");
            match (quote, c) {
                (None, '\'' | '"') => quote = Some(c),
                (Some(open), _) if c == open => quote = None,
                (None | Some('"'), '\\') => word.extend(characters.next().map(|(_, next)| next)),
                _ => word.push(c),
            }
        }
        words
    }
}

/// A shell, and what of its manners matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shell {
    /// It replaces the part of the last word that it takes for all of it, because it splits words at `=`
    /// and `:` too.
    Bash {
        /// That part.
        part: String,
        /// It is about to list the candidates, and not to insert one.
        lists: bool,
    },
    /// It shows what a candidate is.
    Telling,
}

impl Shell {
    /// The shell `name` and the words that it hands over, as its script does. `None`: it is not known.
    pub fn of_call(name: &str, rest: &[String]) -> Option<(Self, Words)> {
        match (name, rest) {
            ("bash", [line, part, kind]) => {
                let bash = Self::Bash {
                    part: part.clone(),
                    lists: kind == "63",
                };
                Some((bash, Words::of_line(line)))
            }
            ("zsh" | "fish", words) => {
                let words = Words {
                    texts: words.to_vec(),
                    starts: Vec::new(),
                };
                Some((Self::Telling, words))
            }
            _ => None,
        }
    }

    /// The answer to this shell.
    pub fn answer(&self, offer: &Offer, words: &Words) -> String {
        let candidates = match offer {
            Offer::Files => return "files\n".to_owned(),
            Offer::Folders => return "folders\n".to_owned(),
            Offer::Command(at) => {
                let at = words.starts.get(*at).unwrap_or(at);
                return format!("command {at}\n");
            }
            Offer::Candidates(candidates) => candidates,
        };
        let mut answer = String::from("values\n");
        let is_plain = |one: &&Candidate| escape_text(&one.value) == one.value;
        for one in candidates.iter().filter(is_plain) {
            let (value, about) = match self {
                Self::Telling => (one.value.as_str(), one.about.as_str()),
                Self::Bash { part, lists } => {
                    let typed = words.texts.last().map_or("", String::as_str);
                    let before = typed.strip_suffix(part.as_str()).unwrap_or_default();
                    let value = one.value.strip_prefix(before).unwrap_or(&one.value);
                    let is_shown = *lists && one.is_told && candidates.len() > 1;
                    (value, if is_shown { one.about.as_str() } else { "" })
                }
            };
            answer.push_str(value);
            answer.push('\t');
            answer.push_str(about);
            answer.push('\n');
        }
        answer
    }
}

/// `text` on one line, safe to show, and not longer than fits.
fn cut(text: &str) -> String {
    let safe = escape_text(text);
    match safe.char_indices().nth(ABOUT_MAX) {
        None => safe,
        Some(_) => {
            let kept: String = safe.chars().take(ABOUT_MAX - 1).collect();
            kept + "…"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Vec<(usize, String)> {
        let words = Words::of_line(text);
        words.starts.into_iter().zip(words.texts).collect()
    }

    #[test]
    fn a_line_of_bash_falls_into_words() {
        let word = |at, text: &str| (at, text.to_owned());
        assert_eq!(line("retrier"), [word(0, "retrier")]);
        assert_eq!(line("retrier "), [word(0, "retrier"), word(8, "")]);
        assert_eq!(
            line(r#"  r  --key 'a "b' c\ d "e'\"f"#),
            [
                word(2, "r"),
                word(5, "--key"),
                word(11, r#"a "b"#),
                word(18, "c d"),
                word(23, r#"e'"f"#)
            ]
        );
    }

    #[test]
    fn bash_gets_what_it_takes_for_the_word() {
        let call = |line: &str, part: &str| {
            let rest = [line, part, "9"].map(str::to_owned);
            Shell::of_call("bash", &rest).expect("it is known")
        };
        let (shell, words) = call("retrier run --pool=ma", "ma");
        let offer = Offer::Candidates(vec![Candidate::bare("--pool=mail".to_owned())]);
        assert_eq!(shell.answer(&offer, &words), "values\nmail\t\n");
        let (shell, words) = call("retrier wait --key a:", "");
        let offer = Offer::Candidates(vec![Candidate::bare("a:b".to_owned())]);
        assert_eq!(shell.answer(&offer, &words), "values\nb\t\n");
        let (shell, words) = call("retrier run -w -- é git ", "");
        assert_eq!(shell.answer(&Offer::Command(3), &words), "command 15\n");
        assert_eq!(shell.answer(&Offer::Command(4), &words), "command 18\n");
    }

    #[test]
    fn what_it_is_stays_on_its_line() {
        let hostile = Candidate::told("1".to_owned(), "a\nb\tc\u{1b}[2J$(x)");
        assert_eq!(hostile.about, "a\\nb\\tc\\u{1b}[2J$(x)");
        let long = Candidate::told("1".to_owned(), &"é".repeat(61));
        assert_eq!(long.about.chars().count(), ABOUT_MAX);
    }
}
