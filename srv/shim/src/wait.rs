//! Waiting: the one place where a shim sleeps.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::Error;
use crate::world::World;

/// What can be readable or writable.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Token {
    Signals,
    Door,
    Conn(u64),
    Output(usize),
    Maker,
    Job(u64),
}

impl World {
    /// Sleeps until something has come or is due, and returns what has come.
    pub(crate) fn wait(&self) -> Result<Vec<Token>, Error> {
        let mut tokens = Vec::new();
        let mut fds = Vec::new();
        let mut add = |token, fd, flags| {
            tokens.push(token);
            fds.push(PollFd::new(fd, flags));
        };
        let read = PollFlags::POLLIN;
        add(Token::Signals, self.signals.as_fd(), read);
        add(Token::Door, self.conns.door(), read);
        for (id, fd, waits) in self.conns.each() {
            let flags = if waits { read | PollFlags::POLLOUT } else { read };
            add(Token::Conn(id), fd, flags);
        }
        for (index, output) in self.outputs.iter().enumerate() {
            if let Some(output) = output {
                add(Token::Output(index), output.pipe.as_fd(), read);
            }
        }
        if let Some(maker) = &self.maker {
            add(Token::Maker, maker.as_fd(), read);
        }
        for job in &self.jobs {
            let each: Vec<BorrowedFd<'_>> = job.each().collect();
            each.into_iter().for_each(|fd| add(Token::Job(job.id), fd, read));
        }
        match poll(&mut fds, self.timeout()) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(why) => return Err(Error::call("poll")(why)),
        }
        let ready = |fd: &PollFd<'_>| fd.any().unwrap_or(false);
        Ok(tokens.into_iter().zip(&fds).filter(|(_, fd)| ready(fd)).map(|(t, _)| t).collect())
    }

    /// Until the next thing that happens by itself, rounded up to a millisecond.
    fn timeout(&self) -> PollTimeout {
        let starting = self.maker.is_some().then_some(self.start_until);
        let draining = self.ended.as_ref().map(|(_, until)| *until);
        let jobs = self.jobs.iter().map(|job| job.until);
        let next = jobs.chain(starting).chain(draining).chain(self.stopping.next()).min();
        let Some(next) = next else { return PollTimeout::NONE };
        let left = next.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
    }
}
