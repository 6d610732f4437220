//! Fitting text into columns: how wide it is, where it is cut or broken.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// So many columns are never fewer: below them lines are longer than the terminal is wide.
pub const COLUMNS_MIN: usize = 40;

/// How many columns `text` takes, which has no control characters.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text, or its beginning with a mark that it was cut, in so many columns; the mark is `…`
/// where `unicode` can be shown.
pub fn cut(text: &str, columns: usize, unicode: bool) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mark = if unicode { "…" } else { "..." };
    let room = columns.saturating_sub(width(mark));
    let mut cut = String::new();
    let mut taken = 0;
    for c in text.chars() {
        taken += c.width().unwrap_or(0);
        if taken > room {
            break;
        }
        cut.push(c);
    }
    cut + mark
}

/// `text` with blanks behind it up to so many columns.
pub fn padded(text: &str, columns: usize) -> String {
    let blanks = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(blanks))
}

/// The text on lines of at most so many columns, broken at its blanks; a word that is longer has a
/// line for itself.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        } else if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_fits_also_when_its_characters_are_wide() {
        assert_eq!(cut("abc", 3, true), "abc");
        assert_eq!(cut("abcd", 3, true), "ab…");
        assert_eq!(cut("abcdef", 5, false), "ab...");
        assert_eq!(cut("日本語", 6, true), "日本語");
        assert_eq!(cut("日本語x", 6, true), "日本…");
        assert_eq!(cut("日本語x", 5, true), "日本…");
        assert_eq!(width(&cut("日本語x", 4, true)), 3);
        assert_eq!(padded("日", 4), "日  ");
    }

    #[test]
    fn a_long_text_is_broken_at_blanks_and_nothing_of_it_is_lost() {
        let text = "failed: attempt 5 exited 22, its retries are used up";
        let lines = wrapped(text, 20);
        assert_eq!(
            lines,
            ["failed: attempt 5", "exited 22, its", "retries are used up"]
        );
        assert_eq!(lines.join(" "), text);
        assert_eq!(wrapped("", 20), [""]);
        assert_eq!(wrapped("a verylongword b", 4), ["a", "verylongword", "b"]);
    }
}
