//! Who does what: work is shared out by rendezvous hashing, and a lost daemon's share goes to the others.

use std::sync::Mutex;

use super::{Daemon, Error};
use crate::buildkit::{self, Stop};
use crate::digest::Hasher;

/// Several daemons, and which of them are gone.
pub(super) struct Team {
    daemons: Vec<Box<dyn Daemon>>,
    /// By daemon, why it is gone.
    gone: Mutex<Vec<Option<buildkit::Error>>>,
}

/// What a daemon is asked to do with its share; `stop` is set once nobody wants the answer any more.
pub(super) type Work<'w, J, R> = dyn Fn(&dyn Daemon, &[&J], &Stop) -> Result<Vec<R>, Error> + Sync + 'w;

impl Team {
    pub(super) fn new(daemons: Vec<Box<dyn Daemon>>) -> Self {
        Self { gone: Mutex::new(daemons.iter().map(|_| None).collect()), daemons }
    }

    /// Has `work` done for every job, each by the daemon that its key leads to, all daemons at once, and returns what came
    /// of it in no order; `what` says of jobs what they are. What a daemon that is lost meanwhile had to do is done by the others.
    ///
    /// A stumble of a daemon is tried once more. Any other error is that of the work, and ends it everywhere.
    ///
    /// # Errors
    /// The first error of the work, in the order of the daemons; no daemon that is left.
    pub(super) fn run<J: Sync, R: Send>(
        &self,
        jobs: &[J],
        key: &dyn Fn(&J) -> String,
        what: &dyn Fn(&[&J]) -> String,
        work: &Work<'_, J, R>,
    ) -> Result<Vec<R>, Error> {
        let mut left: Vec<&J> = jobs.iter().collect();
        let mut results = Vec::new();
        while !left.is_empty() {
            let mut shares: Vec<Vec<&J>> = self.daemons.iter().map(|_| Vec::new()).collect();
            for job in &left {
                let number = self.choose(&key(job)).ok_or_else(|| self.none(what(&left)))?;
                shares[number].push(*job);
            }
            let stop = Stop::default();
            let answers: Vec<Option<Result<Vec<R>, Error>>> = std::thread::scope(|scope| {
                let asked = shares.iter().zip(&self.daemons).map(|(share, daemon)| {
                    let stop = &stop;
                    (!share.is_empty()).then(|| scope.spawn(move || attempt(&**daemon, share, work, stop)))
                });
                let asked: Vec<_> = asked.collect();
                asked
                    .into_iter()
                    .map(|thread| {
                        let joined = thread?.join();
                        Some(joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                    })
                    .collect()
            });
            left = Vec::new();
            let mut failed = None;
            for (number, (share, answer)) in shares.into_iter().zip(answers).enumerate() {
                match answer {
                    None => {}
                    Some(Ok(made)) => results.extend(made),
                    Some(Err(Error::Daemon(error))) if error.is_daemon() => {
                        self.gone.lock().expect("nobody panics while a loss is noted")[number] = Some(error);
                        left.extend(share);
                    }
                    // Who was stopped was so because of another's error.
                    Some(Err(Error::Daemon(buildkit::Error::Stopped))) => left.extend(share),
                    Some(Err(error)) => failed = failed.or(Some(error)),
                }
            }
            if let Some(error) = failed {
                return Err(error);
            }
        }
        Ok(results)
    }

    /// Returns the number of the daemon that a key leads to, among those that are there.
    fn choose(&self, key: &str) -> Option<usize> {
        let gone = self.gone.lock().expect("nobody panics while a loss is noted");
        let there = self.daemons.iter().enumerate().filter(|(number, _)| gone[*number].is_none());
        there.max_by_key(|(_, daemon)| weight(daemon.address(), key)).map(|(number, _)| number)
    }

    /// Returns the error that nobody is left who could do something.
    fn none(&self, what: String) -> Error {
        let mut gone = self.gone.lock().expect("nobody panics while a loss is noted");
        Error::NoDaemon { what, gone: gone.iter_mut().filter_map(Option::take).collect() }
    }

    /// Returns which daemons are gone, and why, in words.
    pub(super) fn gone(&self) -> Vec<String> {
        let gone = self.gone.lock().expect("nobody panics while a loss is noted");
        gone.iter().flatten().map(ToString::to_string).collect()
    }
}

/// Has one daemon do its share, twice where BuildKit stumbles.
fn attempt<J, R>(daemon: &dyn Daemon, share: &[&J], work: &Work<'_, J, R>, stop: &Stop) -> Result<Vec<R>, Error> {
    let mut answer = work(daemon, share, stop);
    if matches!(&answer, Err(Error::Daemon(error)) if is_stumble(error)) && !stop.is_stopped() {
        answer = work(daemon, share, stop);
    }
    match &answer {
        Err(Error::Daemon(error)) if error.is_daemon() || matches!(error, buildkit::Error::Stopped) => {}
        Err(_) => stop.stop(),
        Ok(_) => {}
    }
    answer
}

/// Returns whether BuildKit got in its own way: its scheduler gives up on graphs that it takes a moment later.
pub(super) fn is_stumble(error: &buildkit::Error) -> bool {
    let buildkit::Error::Solve { message, .. } = error else { return false };
    ["flightcontrol", "inconsistent graph state", "failed to get edge"].iter().any(|word| message.contains(word))
}

/// Returns how much a daemon wants a piece of work: the highest takes it (rendezvous hashing), so that a daemon more or
/// less moves nothing but its own share, and the order of addresses means nothing.
fn weight(address: &str, key: &str) -> [u8; 32] {
    let mut hasher = Hasher::new();
    for part in ["tarsia share\n", address, "\n", key] {
        hasher.update(part.as_bytes());
    }
    *hasher.digest().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::farm::Ask;

    /// A daemon that is only asked for its name.
    struct Named(String);

    impl Daemon for Named {
        fn address(&self) -> &str {
            &self.0
        }
        fn solve(&self, _: &Ask<'_>) -> Result<(), buildkit::Error> {
            unreachable!("nothing is solved")
        }
    }

    fn daemons(names: &[&str]) -> Vec<Box<dyn Daemon>> {
        names.iter().map(|name| Box::new(Named((*name).to_owned())) as Box<dyn Daemon>).collect()
    }

    fn lost(address: &str) -> Error {
        Error::Daemon(buildkit::Error::Lost { address: address.to_owned(), problem: "it was killed".to_owned() })
    }

    fn solve(message: &str) -> Error {
        let (address, message) = ("a".to_owned(), message.to_owned());
        Error::Daemon(buildkit::Error::Solve { address, message, code: 2, failure: None })
    }

    const JOBS: [u32; 40] = {
        let mut all = [0; 40];
        let mut number = 0;
        while number < 40 {
            all[number] = number as u32;
            number += 1;
        }
        all
    };

    /// Returns who did which job.
    fn shares(names: &[&str], work: &Work<'_, u32, (String, u32)>) -> Result<Vec<(String, u32)>, Error> {
        let mut done =
            Team::new(daemons(names)).run(&JOBS, &u32::to_string, &|jobs| format!("do {} jobs", jobs.len()), work)?;
        done.sort_by_key(|(_, job)| *job);
        Ok(done)
    }

    fn good(daemon: &dyn Daemon, share: &[&u32]) -> Result<Vec<(String, u32)>, Error> {
        Ok(share.iter().map(|job| (daemon.address().to_owned(), **job)).collect())
    }

    #[test]
    fn a_daemon_more_moves_nothing_but_its_own_share() {
        let two = shares(&["a", "b"], &|daemon, share, _| good(daemon, share)).unwrap();
        assert_eq!(two, shares(&["b", "a"], &|daemon, share, _| good(daemon, share)).unwrap(), "in any order");
        let three = shares(&["a", "c", "b"], &|daemon, share, _| good(daemon, share)).unwrap();
        assert!(two.iter().zip(&three).all(|(before, after)| before == after || after.0 == "c"));
        for name in ["a", "b", "c"] {
            assert!((5..30).contains(&three.iter().filter(|(who, _)| who == name).count()), "{name}");
        }
    }

    #[test]
    fn the_share_of_a_lost_daemon_goes_to_the_others() {
        let team = Team::new(daemons(&["a", "b", "c"]));
        let work = |daemon: &dyn Daemon, share: &[&u32], _: &Stop| match daemon.address() {
            "b" => Err(lost("b")),
            _ => good(daemon, share),
        };
        let mut done = team.run(&JOBS, &u32::to_string, &|jobs| format!("do {} jobs", jobs.len()), &work).unwrap();
        done.sort_by_key(|(_, job)| *job);
        assert_eq!(done.iter().map(|(_, job)| *job).collect::<Vec<_>>(), JOBS);
        assert_eq!(team.gone(), ["cannot go on with the BuildKit daemon at `b`: it was killed"]);
        // It is not asked again.
        let again = team
            .run(&JOBS, &u32::to_string, &|jobs| format!("do {} jobs", jobs.len()), &|daemon, share, _| {
                good(daemon, share)
            })
            .unwrap();
        assert!(again.iter().all(|(who, _)| who != "b"));
    }

    #[test]
    fn without_a_daemon_there_is_an_error() {
        let all = shares(&["a", "b"], &|daemon, _, _| Err(lost(daemon.address()))).unwrap_err();
        assert!(matches!(all, Error::NoDaemon { gone, what } if gone.len() == 2 && what == "do 40 jobs"));
        let one = shares(&["a"], &|_, _, _| Err(lost("a"))).unwrap_err();
        assert_eq!(
            one.to_string(),
            "cannot do 40 jobs: could not go on with the BuildKit daemon at `a`: it was killed"
        );
    }

    #[test]
    fn a_stumble_is_tried_once_more_and_a_failure_ends_it_all() {
        let count = Mutex::new(0);
        let stumbling = |often: u32| {
            let count = &count;
            *count.lock().unwrap() = 0;
            move |daemon: &dyn Daemon, share: &[&u32], _: &Stop| {
                let mut count = count.lock().unwrap();
                *count += 1;
                if *count <= often { Err(solve("flightcontrol: exceeded retry timeout")) } else { good(daemon, share) }
            }
        };
        assert_eq!(shares(&["a"], &stumbling(1)).unwrap().len(), JOBS.len());
        assert!(shares(&["a"], &stumbling(2)).is_err());
        *count.lock().unwrap() = 0;
        let failing = |daemon: &dyn Daemon, _: &[&u32], stop: &Stop| {
            if daemon.address() == "a" {
                *count.lock().unwrap() += 1;
                return Err(solve("exit code: 2"));
            }
            while !stop.is_stopped() {
                std::thread::yield_now();
            }
            Err(Error::Daemon(buildkit::Error::Stopped))
        };
        let error = shares(&["b", "a"], &failing).unwrap_err();
        assert!(error.to_string().contains("exit code: 2"), "{error}");
        assert_eq!(*count.lock().unwrap(), 1, "no second try, and nowhere else");
    }
}
