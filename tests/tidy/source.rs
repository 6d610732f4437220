//! A source file as the rules see it: by line, without comments and literals, with and without its tests.

/// A source file.
#[derive(Debug)]
pub struct Source {
    /// Its path from the root of the package, with `/`.
    pub path: String,
    /// Everything in it.
    pub text: String,
    /// The same lines, with comments, strings and characters blanked.
    pub code: String,
    /// The same, with `#[cfg(test)]` items blanked as well; empty for a file of tests.
    pub product: String,
}

impl Source {
    /// Takes a file apart.
    pub fn new(path: &str, text: &str) -> Source {
        let code = code_of(text);
        let tests =
            path.starts_with("tests/") || path.ends_with("/tests.rs") || path.contains("/tests/");
        let product = if tests {
            String::new()
        } else {
            without_tests(&code)
        };
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            product,
        }
    }

    /// The room it belongs to: the first folder or file below `src`. Tests belong to none.
    pub fn room(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src/")?;
        let room = below.split('/').next()?;
        Some(room.strip_suffix(".rs").unwrap_or(room))
    }
}

/// The lines of a text, numbered from 1.
pub fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

/// The number of the line that holds this byte.
pub fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// How many spaces a line begins with.
pub fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Whether a character can be part of a name.
pub fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn code_of(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let blank = blank_length(&characters[at..]);
        let end = (at + blank.max(1)).min(characters.len());
        for character in &characters[at..end] {
            let kept = blank == 0 || *character == '\n';
            code.push(if kept { *character } else { ' ' });
        }
        at = end;
    }
    code
}

/// How long the comment or literal is that begins here; 0 when none does.
fn blank_length(rest: &[char]) -> usize {
    match rest {
        ['/', '/', ..] => position(rest, 2, '\n'),
        ['/', '*', ..] => block_comment_length(rest),
        ['"', ..] => string_length(rest),
        ['r', '"' | '#', ..] => raw_string_length(rest),
        ['\'', '\\', _, ..] => position(rest, 3, '\'') + 1,
        ['\'', _, '\'', ..] => 3,
        _ => 0,
    }
}

fn position(rest: &[char], from: usize, wanted: char) -> usize {
    let found = rest
        .iter()
        .skip(from)
        .position(|character| *character == wanted);
    found.map_or(rest.len(), |index| index + from)
}

fn block_comment_length(rest: &[char]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => depth += 1,
            ['*', '/', ..] => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            break;
        }
    }
    at
}

fn string_length(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// 0 for a raw name such as `r#type`.
fn raw_string_length(rest: &[char]) -> usize {
    let hashes = rest[1..]
        .iter()
        .take_while(|character| **character == '#')
        .count();
    let open = 1 + hashes;
    if rest.get(open) != Some(&'"') {
        return 0;
    }
    let mut at = open + 1;
    while at < rest.len() {
        let closing = &rest[at + 1..(at + 1 + hashes).min(rest.len())];
        if rest[at] == '"' && closing.len() == hashes && closing.iter().all(|hash| *hash == '#') {
            break;
        }
        at += 1;
    }
    at + 1 + hashes
}

/// Blanks each item under a `#[cfg(test)]`. The sources are formatted: an item ends at the closing brace that stands as far
/// to the left as it began, or with its first line.
fn without_tests(code: &str) -> String {
    let mut product = String::with_capacity(code.len());
    let mut test_indentation = None;
    for line in code.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with("#[cfg(test)]") || trimmed.starts_with("#[cfg(all(test") {
            test_indentation = Some(indentation(line));
        }
        match test_indentation {
            None => product.push_str(line),
            Some(left) => {
                let closes = trimmed.starts_with('}') || trimmed.ends_with([';', '}']);
                if closes && indentation(line) == left {
                    test_indentation = None;
                }
            }
        }
        product.push('\n');
    }
    product
}
