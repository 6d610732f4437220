//! What goes wrong meanwhile: each is a loop of its own, until all is over.

use std::ops::Range;
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, pidfd_send_signal};

use crate::support::{Disk, FakeClock, Process};

use super::super::load::Op;
use super::Fray;

/// One of those who let it go wrong.
#[derive(Clone, Copy, Debug)]
pub enum Nemesis {
    Daemons,
    Shims,
    Sweeps,
    Crowds,
    Disk,
    Clock,
}

impl Nemesis {
    /// All, in the order of their numbers.
    pub const ALL: [Nemesis; 6] = [
        Nemesis::Daemons,
        Nemesis::Shims,
        Nemesis::Sweeps,
        Nemesis::Crowds,
        Nemesis::Disk,
        Nemesis::Clock,
    ];
}

impl Fray<'_> {
    /// Does what this one does until all is over; gives how often.
    pub fn carry_out(
        &self,
        nemesis: Nemesis,
        rng: fastrand::Rng,
        clock: Option<&FakeClock>,
    ) -> usize {
        match nemesis {
            Nemesis::Daemons => self.kill_daemons(rng),
            Nemesis::Shims => self.kill_shims(rng),
            Nemesis::Sweeps => self.sweep(rng),
            Nemesis::Crowds => self.crowd(rng),
            Nemesis::Disk => self.fill(rng, &self.home.disk()),
            Nemesis::Clock => clock.map_or(0, |clock| self.set(rng, clock)),
        }
    }

    /// Kills the daemon every 50 to 500 ms, some after a pause of their own. Gives how many.
    fn kill_daemons(&self, mut rng: fastrand::Rng) -> usize {
        let mut killed = 0;
        while !self.is_over() {
            self.pause(&mut rng, 50..500);
            // It may have ended by itself: then there is nothing to signal.
            let Some(daemon) = self.home.holder() else {
                continue;
            };
            if rng.u8(..8) == 0 {
                pidfd_send_signal(&daemon, Signal::STOP).ok();
                self.pause(&mut rng, 50..300);
                if rng.bool() {
                    pidfd_send_signal(&daemon, Signal::CONT).ok();
                    continue;
                }
            }
            killed += usize::from(pidfd_send_signal(&daemon, Signal::KILL).is_ok());
        }
        killed
    }

    /// Kills a shim now and then. Gives how many.
    fn kill_shims(&self, mut rng: fastrand::Rng) -> usize {
        let mut killed = 0;
        while !self.is_over() {
            self.pause(&mut rng, 300..2000);
            let shims = self.home.processes().into_iter().filter(Process::is_shim);
            if let Some(shim) = rng.choice(shims.collect::<Vec<_>>()) {
                self.home.end(&shim);
                killed += 1;
            }
        }
        killed
    }

    /// Forgets all that has ended, again and again, and tries to forget what has not. Gives how often.
    fn sweep(&self, mut rng: fastrand::Rng) -> usize {
        let mut swept = 0;
        while !self.is_over() {
            self.pause(&mut rng, 50..500);
            // The newest has not ended as a rule, and has to stay then.
            if let Some(id) = self.clients.ids().last().filter(|_| rng.bool()) {
                let args = ["cleanup", &id.to_string()];
                self.clients.make((Op::Cleanup, Some(*id)), &args, None);
            }
            let sweep = ["cleanup", "--older-than", "0"];
            swept += usize::from(self.clients.make((Op::Cleanup, None), &sweep, None).exit == 0);
        }
        swept
    }

    /// Sends twelve clients at once, now and then.
    fn crowd(&self, mut rng: fastrand::Rng) -> usize {
        let mut crowds = 0;
        while !self.is_over() {
            self.pause(&mut rng, 2000..8000);
            thread::scope(|scope| {
                for _ in 0..12 {
                    let mut rng = rng.fork();
                    scope.spawn(move || self.submit(&mut rng));
                }
            });
            crowds += 1;
        }
        crowds
    }

    /// Fills the disk for a while, again and again; there is room when it is over.
    fn fill(&self, mut rng: fastrand::Rng, disk: &Disk) -> usize {
        let mut filled = 0;
        while !self.is_over() {
            self.pause(&mut rng, 500..4000);
            disk.fill();
            self.pause(&mut rng, 100..2000);
            disk.free();
            filled += 1;
        }
        filled
    }

    /// Sets the clock, by an hour at most.
    fn set(&self, mut rng: fastrand::Rng, clock: &FakeClock) -> usize {
        let mut set = 0;
        while !self.is_over() {
            self.pause(&mut rng, 500..4000);
            let by = Duration::from_millis([1000, 60_000, 3_600_000][rng.usize(..3)]);
            let by = by.mul_f64(rng.f64());
            if rng.bool() {
                clock.advance(by);
            } else {
                clock.set_back(by);
            }
            set += 1;
        }
        set
    }

    /// Lets so many milliseconds pass, or less when all is over.
    pub fn pause(&self, rng: &mut fastrand::Rng, ms: Range<u64>) {
        let pause = Duration::from_millis(rng.u64(ms));
        crate::support::holds_within(pause.min(self.end.left()), || false);
    }
}
