//! What an examination has found, a line each.

use std::fmt::Write;

use crate::model::{Finding, Level};
use crate::text::escape_text;

use super::Style;

/// The findings, a line each: in sentences, or separated by tabs.
pub fn findings(findings: &[Finding], style: Style, terminal: bool) -> String {
    let mut lines = String::new();
    for finding in findings {
        let level = finding.level.word();
        let (what, hint) = (escape_text(&finding.what), escape_text(&finding.hint));
        let _ = if terminal {
            let level = style.painted(colour(finding.level), level);
            let padding = " ".repeat(7 - finding.level.word().len());
            writeln!(
                lines,
                "{level}{padding}  {:<10}  {what}; to do: {hint}",
                finding.check
            )
        } else {
            writeln!(lines, "{level}\t{}\t{what}\t{hint}", finding.check)
        };
    }
    lines
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::Error => "31",
        Level::Warning => "33",
    }
}
