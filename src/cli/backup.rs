//! `retrier backup`: copy the database.

use anyhow::Context;

use crate::clock;
use crate::json;
use crate::sys::spawn::path_bytes;
use crate::text::escape_text;

use super::args::BackupArgs;
use super::client::Client;
use super::failure::{Failure, code};
use super::out;

/// Copies the database into the file that is named.
pub fn backup(client: &Client, args: &BackupArgs) -> anyhow::Result<u8> {
    let path = client.folder.database().display();
    let store = client.existing()?.ok_or_else(|| {
        let message = format!("there is no database at {path}, and so nothing to copy");
        Failure::new(code::FAILED, message).hint("name another one with --db or RETRIER_DB")
    })?;
    let file = std::path::absolute(&args.file).with_context(|| args.file.display().to_string())?;
    let began = clock::now();
    let copied = store.copy_to(&file, args.force)?;
    if args.json {
        let what = (copied.bytes, copied.runs, copied.layout);
        return out::line(&json::backup(&path_bytes(&file), what, began).to_string());
    }
    out::note_to_terminal(&format!(
        "copied {} runs to {}, {} bytes",
        copied.runs,
        escape_text(&file.display().to_string()),
        copied.bytes
    ));
    Ok(code::DONE)
}
