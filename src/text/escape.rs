//! What somebody else has written, made safe to be shown: a terminal must not take it for an order, nor
//! a line for two.

use std::fmt::Write;

/// `text` on one line, every control character and every character that turns the direction of
/// writing or ends a line escaped.
pub fn escape_text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// `text` as it is printed: lines, tabs and our own colours stay, whatever else [`escape_text`] would
/// escape stands as `\uNNNN`. In JSON that is the same string.
pub fn escape_printed(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let stays = match c {
            '\n' | '\t' => true,
            '\x1b' => is_colour(&text[at..]),
            c => !is_unsafe(c),
        };
        if stays {
            safe.push(c);
        } else {
            let _ = write!(safe, "\\u{:04x}", c as u32);
        }
    }
    safe
}

/// Must it not reach a terminal, or the middle of a line?
fn is_unsafe(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Does it begin with a sequence that sets a colour, and does nothing else?
fn is_colour(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("\x1b[") else {
        return false;
    };
    let end = rest.find(|c: char| !c.is_ascii_digit());
    end.is_some_and(|end| end <= 2 && rest[end..].starts_with('m'))
}

/// Lets the text, tabs and line ends of a file through, and turns all other control characters,
/// characters that turn the direction of writing, and bytes that are no text into `\xNN` or `\u{NN}`:
/// what a command wrote must not move the cursor or name the window. It comes piece by piece.
#[derive(Debug, Default)]
pub struct Escaper {
    /// The beginning of a character of which the rest has not come yet.
    begun: Vec<u8>,
}

impl Escaper {
    /// What is to be shown of the next piece.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let joined;
        let mut rest = bytes;
        if !self.begun.is_empty() {
            self.begun.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.begun);
            rest = &joined;
        }
        let mut safe = String::with_capacity(rest.len());
        loop {
            let error = match std::str::from_utf8(rest) {
                Ok(text) => {
                    push_text(&mut safe, text);
                    break;
                }
                Err(error) => error,
            };
            let (valid, after) = rest.split_at(error.valid_up_to());
            push_text(&mut safe, &String::from_utf8_lossy(valid));
            let Some(length) = error.error_len() else {
                self.begun = after.to_vec();
                break;
            };
            push_bytes(&mut safe, &after[..length]);
            rest = &after[length..];
        }
        safe.into_bytes()
    }

    /// What is to be shown when no more comes.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut safe = String::new();
        push_bytes(&mut safe, &std::mem::take(&mut self.begun));
        safe.into_bytes()
    }
}

fn push_text(safe: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\n' | '\t' => safe.push(c),
            c if c.is_ascii_control() => push_bytes(safe, &[c as u8]),
            c if is_unsafe(c) => {
                let _ = write!(safe, "\\u{{{:x}}}", c as u32);
            }
            c => safe.push(c),
        }
    }
}

fn push_bytes(safe: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(safe, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_control_character_reaches_a_terminal() {
        let mut escaper = Escaper::default();
        let hostile = b"a\x1b[2J\x07b\tc\n\xc2\x9b31m\xc3\xa9\x9b\xe2\x80\xaez\xe2\x80";
        let expected = "a\\x1b[2J\\x07b\tc\n\\u{9b}31mé\\x9b\\u{202e}z";
        assert_eq!(escaper.feed(hostile), expected.as_bytes());
        assert_eq!(escaper.finish(), b"\\xe2\\x80");
        assert_eq!(
            escape_text("a\u{1b}]0;x\u{202e}\n"),
            "a\\u{1b}]0;x\\u{202e}\\n"
        );
    }

    #[test]
    fn of_what_is_printed_colours_stay() {
        let page = "\x1b[32mdone\x1b[0m\tü…\n";
        assert_eq!(escape_printed(page), page);
        let hostile = "\x1b[2J\x1b[38;5;1m\x1b]52;c;x\x07\x1b\u{9b}\u{2028}\r\x7f";
        let shown =
            "\\u001b[2J\\u001b[38;5;1m\\u001b]52;c;x\\u0007\\u001b\\u009b\\u2028\\u000d\\u007f";
        assert_eq!(escape_printed(hostile), shown);
    }

    proptest! {
        #[test]
        fn bytes_in_pieces_are_shown_as_in_one(bytes: Vec<u8>, cuts: [prop::sample::Index; 2]) {
            let mut cuts = cuts.map(|cut| cut.index(bytes.len() + 1));
            cuts.sort_unstable();
            let (mut one, mut many) = (Escaper::default(), Escaper::default());
            let whole = [one.feed(&bytes), one.finish()].concat();
            let pieces = [
                many.feed(&bytes[..cuts[0]]),
                many.feed(&bytes[cuts[0]..cuts[1]]),
                many.feed(&bytes[cuts[1]..]),
                many.finish(),
            ];
            prop_assert_eq!(&whole, &pieces.concat());
            let text = String::from_utf8(whole).expect("what is shown is text");
            prop_assert!(!text.contains(|c| is_unsafe(c) && c != '\n' && c != '\t'));
            // Text that is harmless is shown as it is.
            if let Ok(own) = std::str::from_utf8(&bytes) && !own.contains(is_unsafe) {
                prop_assert_eq!(own, text);
            }
        }

        #[test]
        fn json_that_is_printed_is_the_same_json(text: String, name in "[\u{0}-\u{a0}\u{202a}-\u{202e}]{0,20}") {
            let value = serde_json::json!({ "text": text, "name": name });
            let printed = escape_printed(&value.to_string());
            prop_assert!(!printed.contains(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).expect("JSON"), value);
        }
    }
}
