//! Thirty runs at once whose first attempts share one habit and meet one fate; what they write down of themselves.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};
use serde_json::Value;

use crate::crash::tools::LONG;
use crate::support::{Daemon, Home, wait_until};

/// How many runs there are.
pub const CREW: usize = 30;

/// What the first attempts do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Habit {
    /// They have a child, and one in a session of its own.
    Family,
    /// They close all their descriptors, the lock too; some have changed their environment.
    Closes,
    /// They leave a process in the background.
    Leaves,
    /// They leave one in a session of its own, with no descriptor open and no parent.
    Daemonises,
}

/// What becomes of the first attempts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    ShimKilled,
    /// After somebody has removed its file.
    ShimKilledWithoutFile,
    CommandKilled,
    BothKilled,
    ShimAndDaemonKilled,
    /// Command, shim and daemon.
    AllKilled,
    Fails,
    Succeeds,
}

impl Fate {
    fn kills_shim(self) -> bool {
        !matches!(self, Fate::CommandKilled | Fate::Fails | Fate::Succeeds)
    }

    fn kills_command(self) -> bool {
        matches!(
            self,
            Fate::CommandKilled | Fate::BothKilled | Fate::AllKilled
        )
    }

    fn kills_daemon(self) -> bool {
        matches!(self, Fate::ShimAndDaemonKilled | Fate::AllKilled)
    }
}

/// What all commands know. A process notes itself with its start time, because its number alone could be another's
/// later; the next attempt looks whether somebody whom an earlier one has noted is alive.
const TOOLS: &str = r#"
born() {
    born=
    { read -r line </proc/$1/stat; } 2>/dev/null || return
    set -- ${line##*) }
    [ "$1" = Z ] || born=${20}
}
note() {
    born $1
    echo "$RETRIER_ATTEMPT $2 $1 $born" >>noted.$RETRIER_RUN_ID
}
look() {
    while read -r attempt role pid then; do
        born $pid
        [ "$attempt" = $RETRIER_ATTEMPT ] || [ "$born" != "$then" ] ||
            echo "run $RETRIER_RUN_ID: attempt $RETRIER_ATTEMPT finds $role $pid of attempt $attempt" >>alive
    done
}
let_go() {
    # A plain shell cannot name a descriptor of two digits.
    exec bash -c 'for fd in /proc/self/fd/*; do eval "exec ${fd##*/}>&-"; done; exec "$@"' bash "$@"
}
ready() { echo "$PPID $$" >ready.$RETRIER_RUN_ID; }
"#;

/// How every attempt begins.
const BEGIN: &str = r#". ./tools.sh
exec 9>>lock.$RETRIER_RUN_ID
flock -n -E 77 9; [ $? != 77 ] || echo "run $RETRIER_RUN_ID: attempt $RETRIER_ATTEMPT is not alone" >>alive
touch noted.$RETRIER_RUN_ID
look <noted.$RETRIER_RUN_ID
note $$ lead
echo $PPID >>shims
[ $RETRIER_ATTEMPT = 1 ] || exit 0
"#;

/// A process that somebody has noted.
#[derive(Clone, Debug)]
pub struct Noted {
    pub role: String,
    pub pid: i32,
    start: String,
}

/// Whether it lives still.
pub fn is_alive(noted: &Noted) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", noted.pid)).unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let fields: Vec<&str> = fields.split(' ').collect();
    fields.first() != Some(&"Z") && fields.get(22 - 3) == Some(&&noted.start[..])
}

/// The home of thirty runs.
pub struct Crew {
    pub home: Home,
    habit: Habit,
    fate: Fate,
}

/// The shim and the command of a first attempt.
struct Pair {
    shim: OwnedFd,
    command: OwnedFd,
}

impl Crew {
    pub fn new(habit: Habit, fate: Fate) -> Crew {
        let home = Home::new();
        fs::write(home.path("tools.sh"), TOOLS).expect("the temp folder can be written");
        Crew { home, habit, fate }
    }

    /// From the first submit until all runs have ended and another daemon has looked.
    pub fn live(&self, rng: &mut fastrand::Rng, bug: &str) {
        let mut daemon = self.daemon(bug);
        let runs: Vec<i64> = (0..CREW).map(|_| self.submit(rng)).collect();
        if self.fate.kills_shim() || self.fate.kills_command() {
            let mut pairs: Vec<Pair> = runs.iter().map(|run| self.pair(*run)).collect();
            rng.shuffle(&mut pairs);
            self.strike(rng, &pairs, &mut daemon);
        }
        if self.fate.kills_daemon() {
            daemon = self.daemon(bug);
        }
        let wait = self.home.retrier(["wait"]);
        // How they have ended the checker looks at.
        let wait = runs
            .iter()
            .fold(wait, |wait, run| wait.arg(run.to_string()));
        wait.output();
        daemon.kill9();
        self.home.retrier(["daemon", "--until-idle"]).output().ok();
    }

    fn daemon(&self, bug: &str) -> Daemon {
        // With few slots, a shim that could be used again would be.
        self.home
            .slots(if self.fate == Fate::Succeeds { 3 } else { 30 });
        self.home.daemon_with(&[], &[("RETRIER_BUG", bug)])
    }

    fn submit(&self, rng: &mut fastrand::Rng) -> i64 {
        let end = match self.fate {
            Fate::Fails => "exit 3",
            Fate::Succeeds => "exit 0",
            _ => "ready; wait; sleep 600; exit",
        };
        let closed = ["sleep 600", "env -i A=b sleep 600"][rng.usize(..2)];
        let body = match self.habit {
            Habit::Family => {
                format!("sleep 600 & note $! left\nsetsid sleep 600 & note $! left\n{end}")
            }
            Habit::Closes => format!("ready\nlet_go {closed}"),
            Habit::Leaves => format!("sleep 600 & note $! left\n{end}"),
            Habit::Daemonises => format!(
                "( setsid sh -c '. ./tools.sh; note $$ left; let_go sleep 600' & )\n\
                 until grep -q left noted.$RETRIER_RUN_ID; do sleep 0.1; done\n{end}"
            ),
        };
        let trap = ["", "trap '' TERM"][rng.usize(..2)];
        let folder = self.home.path("");
        let line = format!("cd '{}'\n{trap}\n{BEGIN}{body}", folder.display());
        let policy = ["--constant", "20ms", "--jitter", "0", "--grace", "200ms"];
        self.home.run(policy.into_iter().chain(["--shell", &line]))
    }

    /// Waits until the first attempt of a run has done what is its habit.
    fn pair(&self, run: i64) -> Pair {
        let ready =
            || fs::read_to_string(self.home.path(format!("ready.{run}"))).unwrap_or_default();
        wait_until("the first attempt is ready", LONG, || {
            ready().ends_with('\n')
        });
        let text = ready();
        let mut pids = text
            .split_whitespace()
            .map(|pid| pid.parse().expect("a pid"));
        let (shim, pid) = (
            pids.next().expect("two pids"),
            pids.next().expect("two pids"),
        );
        if self.habit == Habit::Closes {
            let open = || {
                fs::read_dir(format!("/proc/{pid}/fd"))
                    .expect("it lives")
                    .count()
            };
            wait_until("it has closed its descriptors", LONG, || open() == 0);
        }
        let open = |pid| {
            let pid = Pid::from_raw(pid).expect("a pid is not 0");
            pidfd_open(pid, PidfdFlags::empty()).expect("it is alive")
        };
        Pair {
            shim: open(shim),
            command: open(pid),
        }
    }

    fn strike(&self, rng: &mut fastrand::Rng, pairs: &[Pair], daemon: &mut Daemon) {
        if self.fate == Fate::ShimKilledWithoutFile {
            let files = fs::read_dir(self.home.path("retrier.db.d/shims")).expect("it is there");
            for file in files.flatten() {
                fs::remove_file(file.path()).expect("it is ours");
            }
        }
        let kill = |pidfd: &OwnedFd| {
            // It may be gone by what was killed before.
            pidfd_send_signal(pidfd, rustix::process::Signal::KILL).ok();
        };
        let daemon_at = rng.usize(..pairs.len());
        for (at, pair) in pairs.iter().enumerate() {
            if self.fate.kills_daemon() && at == daemon_at {
                daemon.kill9();
            }
            let shim_first = rng.bool();
            if self.fate.kills_shim() && shim_first {
                kill(&pair.shim);
            }
            if self.fate.kills_command() {
                kill(&pair.command);
            }
            if self.fate.kills_shim() && !shim_first {
                kill(&pair.shim);
            }
        }
    }

    /// All runs, as `list` shows them.
    pub fn documents(&self) -> Vec<Value> {
        let list = self
            .home
            .retrier(["list", "--json", "--limit", "0"])
            .output()
            .ok();
        let runs = list.text();
        runs.lines()
            .map(|line| serde_json::from_str(line).expect("a run"))
            .collect()
    }

    /// The lines of a file that commands have written.
    pub fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.home.path(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The processes that the attempts of a run have noted.
    pub fn noted(&self, run: i64) -> Vec<Noted> {
        let lines = self.lines(&format!("noted.{run}"));
        let noted = lines.iter().map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [_, role, pid, start] = words[..] else {
                panic!("not a note: {line:?}");
            };
            let (role, start) = (role.to_owned(), start.to_owned());
            Noted {
                role,
                pid: pid.parse().expect("a pid"),
                start,
            }
        });
        noted.collect()
    }

    /// The shim of each attempt.
    pub fn shims(&self) -> Vec<String> {
        self.lines("shims")
    }
}
