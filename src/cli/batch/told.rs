//! What became of the lines of a batch, in words.

use crate::json;
use crate::store::Stored;

/// What became of a line.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// Its number, from 1.
    pub line: usize,
    /// What was stored for it.
    pub stored: Stored,
}

/// A line for each line.
pub fn listing(told: &[Told], as_json: bool) -> String {
    let mut text = String::new();
    for Told { stored, .. } in told {
        if as_json {
            text += &json::stored(stored.id, stored.is_new).to_string();
        } else {
            text += &stored.id.to_string();
        }
        text.push('\n');
    }
    text
}

/// The runs that were stored, in words that go before "stored".
pub fn which(told: &[Told]) -> String {
    let mut new = told.iter().filter(|told| told.stored.is_new);
    // Their ids follow each other, because nobody else has written meanwhile.
    match (new.next(), new.next_back()) {
        (None, _) => "nothing new is".to_owned(),
        (Some(only), None) => format!("run {} is", only.stored.id),
        (Some(first), Some(last)) => {
            format!("runs {} to {} are", first.stored.id, last.stored.id)
        }
    }
}
