//! What the README shows, for the tests that hold it to its word.

use std::fs;

/// The whole page.
pub fn readme() -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    fs::read_to_string(page).expect("the README is there")
}

/// The lines of the code block directly below `<!-- MARKER -->`.
#[track_caller]
pub fn readme_block(marker: &str) -> String {
    let page = readme();
    let (_, after) = page
        .split_once(&format!("<!-- {marker} -->\n```"))
        .unwrap_or_else(|| panic!("no block of the README below {marker:?}"));
    let (_, after) = after.split_once('\n').expect("a fence is a line");
    let (block, _) = after.split_once("```\n").expect("a block ends");
    block.to_owned()
}
