//! A line of a batch as the words of a command: split as a shell does it, or put into a template.

use anyhow::bail;

use super::failure::{Failure, code};

/// What to do about a quote that is not closed.
const QUOTE_HINT: &str =
    "a quote or backslash that is meant stands in quotes, or behind a backslash";

/// The words of a line, as a shell splits it.
pub fn split(text: &[u8]) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut words = shlex::bytes::Shlex::new(text);
    let split: Vec<Vec<u8>> = words.by_ref().collect();
    if words.had_error {
        let message = "a quote is not closed, or nothing follows the last backslash";
        bail!(Failure::new(code::USAGE, message).hint(QUOTE_HINT));
    }
    Ok(split)
}

/// What a shell would not take for a word.
const OPERATORS: &[&str] = &[
    "|", "||", "&", "&&", ";", "<", ">", ">>", "2>", "2>&1", "&>",
];

/// A word of this line that a shell would have taken for something else: no shell reads it. One that stands in
/// quotes, alone or with others, is meant.
pub fn operator(text: &[u8]) -> Option<&'static str> {
    let mut bare = text.split(u8::is_ascii_whitespace);
    let found = bare.find_map(|part| OPERATORS.iter().find(|one| one.as_bytes() == part))?;
    let words = split(text).ok()?;
    words
        .iter()
        .any(|word| word == found.as_bytes())
        .then_some(*found)
}

/// The words of a template.
pub fn template(text: &[u8]) -> anyhow::Result<Vec<Vec<u8>>> {
    let words = split(text).map_err(|error| {
        let mut failure = Failure::from(error);
        failure.message = format!("--template: {}", failure.message);
        failure
    })?;
    if words.is_empty() {
        let failure = Failure::new(code::USAGE, "--template: there is no command");
        bail!(failure.hint("for example --template 'curl -fsSO {}'"));
    }
    Ok(words)
}

/// The words of the template with `line` in the place of each `{}`, or behind them.
pub fn filled(template: &[Vec<u8>], line: &[u8]) -> Vec<Vec<u8>> {
    let mut is_placed = false;
    let mut words = Vec::with_capacity(template.len() + 1);
    for word in template {
        let mut filled = Vec::with_capacity(word.len() + line.len());
        let mut rest = word.as_slice();
        while let Some(at) = rest.windows(2).position(|two| two == b"{}") {
            filled.extend_from_slice(&rest[..at]);
            filled.extend_from_slice(line);
            rest = &rest[at + 2..];
            is_placed = true;
        }
        filled.extend_from_slice(rest);
        words.push(filled);
    }
    if !is_placed {
        words.push(line.to_vec());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_shell_would_have_done_is_told_from_what_is_meant() {
        let found = |text: &str| operator(text.as_bytes());
        assert_eq!(found("echo a > b"), Some(">"));
        assert_eq!(found("a && b"), Some("&&"));
        assert_eq!(found("make 2>&1 | tee log"), Some("2>&1"));
        for meant in [
            "echo a '>' b",
            "sh -c 'a > b; c'",
            "sh -c \"a | b\"",
            "grep -c a\\|b",
            "a>b",
            "echo 'a",
        ] {
            assert_eq!(found(meant), None, "{meant}");
        }
    }

    proptest! {
        #[test]
        fn words_that_were_quoted_are_split_again(
            words in prop::collection::vec(prop::collection::vec(1..=255u8, 0..12), 0..5),
            bytes: Vec<u8>,
        ) {
            let _ = split(&bytes);
            let quoted: Vec<_> = words
                .iter()
                .map(|word| shlex::bytes::try_quote(word).expect("there is no NUL"))
                .collect();
            prop_assert_eq!(split(&quoted.join(&b' ')).expect("it was quoted"), words);
        }

        #[test]
        fn a_line_is_put_in_as_it_is(
            template in prop::collection::vec("[a{}]{0,6}", 1..4),
            line: Vec<u8>,
        ) {
            let template: Vec<Vec<u8>> = template.into_iter().map(String::into_bytes).collect();
            let places = |word: &Vec<u8>| String::from_utf8_lossy(word).matches("{}").count();
            let count: usize = template.iter().map(places).sum();
            let words = filled(&template, &line);
            prop_assert_eq!(words.len(), template.len() + usize::from(count == 0));
            let length = |words: &[Vec<u8>]| words.iter().map(Vec::len).sum::<usize>();
            let added = count.max(1) * line.len();
            prop_assert_eq!(length(&words), length(&template) - 2 * count + added);
        }
    }
}
