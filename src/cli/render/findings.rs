//! What an examination has found, a line each.

use std::fmt::Write;

use crate::model::{Finding, Level};
use crate::text::escape_text;

use super::Style;
use super::fit::{padded, wrapped};

/// The findings, separated by tabs, a line each; for a terminal in sentences with what to do below.
pub fn findings(findings: &[Finding], style: Style) -> String {
    let mut lines = String::new();
    for finding in findings {
        let level = finding.level.word();
        let (what, hint) = (escape_text(&finding.what), escape_text(&finding.hint));
        let Some(columns) = style.columns else {
            let _ = writeln!(lines, "{level}\t{}\t{what}\t{hint}", finding.check);
            continue;
        };
        let gap = " ".repeat(CHECK_AT);
        let check = padded(finding.check, SENTENCE_AT - CHECK_AT);
        let padding = " ".repeat(CHECK_AT - level.len());
        let level = style.painted(colour(finding.level), level);
        let room = columns.saturating_sub(SENTENCE_AT);
        let indent = format!("\n{}", " ".repeat(SENTENCE_AT));
        let what = wrapped(&what, room).join(&indent);
        // Not broken, so that it can be pasted.
        let to_do = padded("to do", SENTENCE_AT - CHECK_AT);
        let _ = writeln!(lines, "{level}{padding}{check}{what}\n{gap}{to_do}{hint}");
    }
    lines
}

/// Where the columns begin.
const CHECK_AT: usize = 9;
const SENTENCE_AT: usize = 21;

fn colour(level: Level) -> &'static str {
    match level {
        Level::Error => "31",
        Level::Warning => "33",
    }
}
