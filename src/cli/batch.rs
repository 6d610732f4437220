//! `retrier run --batch`: a run for each line, all stored in one transaction or none.
//!
//! A line is parsed when it is stored, so that no more than the lines and the ids are held.

mod told;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::bail;

use crate::clock;
use crate::model::{RunId, Spec};
use crate::store::{Reader, Store, StoreError, Submission};
use crate::text::escape_text;

use super::args::{IfExists, LineParser, PolicyArgs, RunArgs};
use super::capture::{self, Checks};
use super::client::Client;
use super::failure::{Failure, code};
use super::line::{filled, operator, split, template};
use super::several;
use super::wait::Manner;
use super::{out, pool, run};
use told::{Told, listing, which};

/// The most that is read of a batch.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// What to do about a line that is an object and wrong.
const OBJECT_HINT: &str =
    "a field is a long option of `run`, with _ for -; `retrier help run` shows them";

/// The most runs of a batch: nobody else can write while they are stored, and others wait for a
/// minute.
const RUNS_MAX: usize = 250_000;

/// So many bytes of input are read for the lines of a batch, for the same reason.
const INPUTS_MAX: usize = 64 * 1024 * 1024;

/// Stores the runs of a batch, says their ids, and waits for them if that is asked for.
pub fn batch(client: &Client, args: &RunArgs, file: &Path) -> anyhow::Result<u8> {
    let batch = Batch::read(args, file)?;
    if batch.lines().next().is_none() {
        if !args.quiet {
            out::note(&format!("{}: there is no line to store", batch.name));
        }
        return Ok(code::DONE);
    }
    let existing = client.existing()?;
    let frame = batch.frame(existing.as_ref())?;
    let mut store = run::still_there(client, existing)?;
    // As for one run: that it closes is the ring.
    let ring = client.ring();
    let told = store.submit_all(clock::now, |submission| batch.store(submission, &frame))?;
    let rung = ring.ring();
    // Also before a refusal, which tells of another run.
    store.sync()?;
    let told = told?;
    let which = which(&told);
    if let (Some(note), false) = (batch.operators(), args.quiet) {
        out::note(&note);
        out::hint(
            "a line {\"shell\": \"…\"} is read by a shell; a word that is meant stands in quotes",
        );
    }
    let skipped = told.iter().filter(|told| !told.stored.is_new).count();
    if skipped > 0 && !args.quiet {
        let lines = if skipped == 1 {
            "1 line has a key that is taken, and was not stored".to_owned()
        } else {
            format!("{skipped} lines have keys that are taken, and were not stored")
        };
        out::note(&lines);
    }
    // With --wait and --json each is told as it ends.
    let printed = if args.wait && args.json {
        Ok(code::DONE)
    } else {
        out::text(&listing(&told, args.json))
    };
    // Whoever did not get the ids must not take the runs for ones that are not stored.
    let printed = printed.map_err(|error| {
        let message = format!("{which} stored, but the ids could not be told: {error:#}");
        let hint = "`retrier list` shows them; stored once more they would run twice";
        Failure::new(code::UNKNOWN, message).hint(hint).into()
    });
    if !args.wait || printed.is_err() {
        run::serve(client, args, rung, &which);
        return printed;
    }
    wait(client, store, args, &told).map_err(|error| {
        let mut failure = Failure::from(error);
        failure.message = format!("{which} stored, but: {}", failure.message);
        failure.into()
    })
}

fn wait(client: &Client, store: Store, args: &RunArgs, told: &[Told]) -> anyhow::Result<u8> {
    let ids: Vec<RunId> = told.iter().map(|told| told.stored.id).collect();
    let new = told.iter().filter(|told| told.stored.is_new);
    let own: Vec<RunId> = new.map(|told| told.stored.id).collect();
    let manner = Manner {
        timeout: None,
        stream: false,
        quiet: args.quiet,
        json: args.json,
        start: !args.no_daemon_start,
        own: true,
        mail: false,
    };
    several::batch(client, store, &ids, &own, manner)
}

/// What was read.
struct Batch<'a> {
    args: &'a RunArgs,
    /// The file, for messages.
    name: String,
    bytes: Vec<u8>,
    template: Option<Vec<Vec<u8>>>,
}

impl<'a> Batch<'a> {
    fn read(args: &'a RunArgs, file: &Path) -> anyhow::Result<Self> {
        let is_input = |path: &Path| path.as_os_str() == "-";
        if is_input(file) && args.stdin.as_deref().is_some_and(is_input) {
            let message = "standard input cannot be both the batch and the input of its runs";
            bail!(Failure::new(code::USAGE, message).hint("name a file with --stdin or --batch"));
        }
        let template = args.template.as_ref().map(|text| template(text.as_bytes()));
        let template = template.transpose()?;
        let name = if is_input(file) {
            "standard input".to_owned()
        } else {
            file.display().to_string()
        };
        let mut bytes = Vec::new();
        let read = if is_input(file) {
            io::stdin()
                .lock()
                .take(BYTES_MAX + 1)
                .read_to_end(&mut bytes)
        } else {
            File::open(file).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes))
        };
        read.map_err(|error| {
            Failure::of_file(format!("--batch {name}"), &error)
                .hint("nothing was stored; name a file that you can read")
        })?;
        let batch = Self {
            args,
            name,
            bytes,
            template,
        };
        if batch.bytes.len() as u64 > BYTES_MAX {
            bail!(batch.too_large("is larger than 256 MiB"));
        }
        if batch.lines().nth(RUNS_MAX).is_some() {
            bail!(batch.too_large(&format!("has more than {RUNS_MAX} runs")));
        }
        Ok(batch)
    }

    fn too_large(&self, how: &str) -> Failure {
        Failure::new(code::FAILED, format!("{}: the batch {how}", self.name))
            .hint("nothing was stored; split it, with `split -l 100000` say")
    }

    /// The lines that are runs, with their numbers, without their ends.
    fn lines(&self) -> impl Iterator<Item = (usize, &[u8])> {
        // Some editors begin a file with a byte order mark.
        let bytes = self.bytes.strip_prefix("\u{feff}".as_bytes());
        let lines = bytes.unwrap_or(&self.bytes).split(|byte| *byte == b'\n');
        let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let is_text = self.template.is_some();
        let is_run = move |line: &[u8]| match line.trim_ascii_start().first() {
            None => false,
            Some(first) => is_text || *first != b'#',
        };
        let numbered = lines.enumerate().map(|(n, line)| (n + 1, line));
        numbered.filter(move |(_, line)| is_run(line))
    }

    /// That a line looks as if it was meant for a shell.
    fn operators(&self) -> Option<String> {
        let plain = self.lines().filter(|(_, text)| text.first() != Some(&b'{'));
        let mut plain = plain.filter(|_| self.template.is_none());
        let (line, found) = plain.find_map(|(line, text)| Some((line, operator(text)?)))?;
        let name = &self.name;
        Some(format!(
            "{name}, line {line}: no shell reads it, so {found} is a word of its command"
        ))
    }

    /// What the runs of plain lines have in common, but for their commands.
    fn frame(&self, store: Option<&Store>) -> anyhow::Result<Spec> {
        let defaults = pool::defaults(store.map(Store::read), &self.args.pool)?;
        let mut frame = capture::frame(self.args, &defaults)?;
        frame.stdin = capture::input(self.args)?;
        Ok(frame)
    }

    /// Stores all lines, in order.
    fn store(
        &self,
        submission: &mut Submission<'_>,
        frame: &Spec,
    ) -> Result<anyhow::Result<Vec<Told>>, StoreError> {
        let mut parser = None;
        let mut checks = Checks::default();
        let mut pools = Pools::default();
        let mut inputs = Inputs::default();
        let mut plain = frame.clone();
        let mut told: Vec<Told> = Vec::new();
        for (line, text) in self.lines() {
            let at_line = |failure| Ok(Err(self.at_line(line, failure)));
            let is_object = text.trim_ascii_start().first() == Some(&b'{');
            let own = if is_object && self.template.is_none() {
                let parser = parser.get_or_insert_with(LineParser::of_run);
                let own = parser
                    .parse(text, self.args)
                    .map_err(|why| Failure::new(code::USAGE, why).hint(OBJECT_HINT).into())
                    .and_then(|args| {
                        let defaults = pools.defaults(submission.read(), &args.pool)?;
                        self.object(&args, &defaults, (&mut checks, &mut inputs), frame)
                    });
                match own {
                    Ok(own) => Some(own),
                    Err(error) => return at_line(error.into()),
                }
            } else {
                if let Err(error) = self.plain(&mut checks, &mut plain, text) {
                    return at_line(error.into());
                }
                None
            };
            let spec = own.as_ref().unwrap_or(&plain);
            let stored = match submission.add(spec) {
                Ok(stored) => stored,
                Err(error @ (StoreError::NoPool { .. } | StoreError::PoolFull { .. })) => {
                    return at_line(anyhow::Error::new(error).into());
                }
                Err(error) => return Err(error),
            };
            if !stored.is_new && self.args.if_exists == IfExists::Fail {
                return at_line(clash(spec, stored.id, &told));
            }
            told.push(Told { line, stored });
        }
        Ok(Ok(told))
    }

    /// The run of a line that is an object.
    fn object(
        &self,
        args: &RunArgs,
        defaults: &PolicyArgs,
        (checks, inputs): (&mut Checks, &mut Inputs),
        frame: &Spec,
    ) -> anyhow::Result<Spec> {
        if args.key.is_none() && self.args.key.is_some() {
            bail!(key_of_all());
        }
        let mut spec = capture::frame(args, defaults)?;
        spec.command = capture::command(args);
        checks.check(&spec, args.no_check)?;
        spec.stdin = if args.stdin == self.args.stdin {
            frame.stdin.clone()
        } else {
            inputs.of(args)?
        };
        Ok(spec)
    }

    /// Makes `plain` the run of a line that is a command, or what stands in the template.
    fn plain(&self, checks: &mut Checks, plain: &mut Spec, text: &[u8]) -> anyhow::Result<()> {
        if self.args.key.is_some() {
            bail!(key_of_all());
        }
        if text.contains(&0) {
            bail!(
                Failure::new(code::USAGE, "it holds a NUL character")
                    .hint("`tr '\\0' '\\n'` makes lines of what find -print0 prints")
            );
        }
        plain.command = match &self.template {
            Some(template) => filled(template, text),
            None => split(text)?,
        };
        checks.check(plain, self.args.no_check)
    }

    /// The failure of a line, because of which nothing is stored.
    fn at_line(&self, line: usize, mut failure: Failure) -> anyhow::Error {
        failure.message = format!("{}, line {line}: {}", self.name, failure.message);
        failure.hint = Some(match failure.hint {
            _ if matches!(failure.code, code::NOT_EXECUTABLE | code::NOT_FOUND) => {
                let shell = match self.template {
                    None => "a line {\"shell\": \"LINE\"} is run by a shell, ",
                    Some(_) => "",
                };
                format!("nothing was stored; {shell}--no-check stores it anyway")
            }
            Some(hint) if hint.contains("nothing was stored") => hint,
            Some(hint) => format!("nothing was stored; {hint}"),
            None => "nothing was stored".to_owned(),
        });
        failure.into()
    }
}

/// The defaults of the pools that the lines name, each read once.
#[derive(Debug, Default)]
struct Pools(HashMap<String, PolicyArgs>);

impl Pools {
    fn defaults(&mut self, read: Reader<'_>, name: &str) -> anyhow::Result<PolicyArgs> {
        if let Some(known) = self.0.get(name) {
            return Ok(known.clone());
        }
        let defaults = pool::defaults(Some(read), name)?;
        self.0.insert(name.to_owned(), defaults.clone());
        Ok(defaults)
    }
}

/// The inputs that the lines name.
#[derive(Debug, Default)]
struct Inputs {
    bytes: usize,
    /// The one before: as a rule, lines that follow each other name the same.
    last: Option<(PathBuf, Arc<[u8]>)>,
}

impl Inputs {
    fn of(&mut self, args: &RunArgs) -> anyhow::Result<Option<Arc<[u8]>>> {
        let Some(path) = &args.stdin else {
            return Ok(None);
        };
        if let Some((_, same)) = self.last.as_ref().filter(|(last, _)| last == path) {
            return Ok(Some(Arc::clone(same)));
        }
        capture::check_regular(path)?;
        let input = capture::input(args)?;
        self.last = input.clone().map(|input| (path.clone(), input));
        self.bytes += input.as_ref().map_or(0, |input| input.len());
        if self.bytes > INPUTS_MAX {
            let message = "the inputs of the batch are larger than 64 MiB together";
            bail!(
                Failure::new(code::FAILED, message)
                    .hint("split the batch, or have the commands read the files themselves")
            );
        }
        Ok(input)
    }
}

fn key_of_all() -> Failure {
    Failure::new(code::USAGE, "--key would be the key of every line")
        .hint("a line of its own key is an object: {\"key\": \"K\", \"command\": [\"true\"]}")
}

/// The key of `spec` is taken by run `id`, of an earlier line or stored before.
fn clash(spec: &Spec, id: RunId, told: &[Told]) -> Failure {
    let key = spec.key.as_ref().map_or("", |key| key.text.as_str());
    let key = escape_text(key);
    let at = told.binary_search_by_key(&id, |told| told.stored.id);
    match at {
        Ok(at) => {
            let message = format!("line {} has the key \"{key}\" too", told[at].line);
            Failure::new(code::STATE, message)
        }
        Err(_) => Failure::new(code::STATE, format!("run {id} has the key \"{key}\""))
            .hint(format!("`retrier status {id}` shows it")),
    }
}
