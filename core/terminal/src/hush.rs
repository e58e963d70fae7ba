//! Keeps lines off stderr that libraries print about expected events.

use std::io;

/// While this lives, lines that begin with one of the given texts do not reach stderr; all others
/// do, whatever code prints them. On systems other than Unix it lets everything pass.
#[derive(Debug)]
pub struct Hush {
    #[cfg(unix)]
    inner: unix::Inner,
}

impl Hush {
    /// Begins to filter. There is at most one at a time in a process.
    ///
    /// # Errors
    /// If the system refuses a pipe or a thread.
    pub fn start(beginnings: &'static [&'static str]) -> io::Result<Self> {
        #[cfg(not(unix))]
        let _ = beginnings;
        Ok(Self {
            #[cfg(unix)]
            inner: unix::Inner::start(beginnings)?,
        })
    }

    /// Returns a handle to the stderr with which the process was started, which is not filtered;
    /// `None` where there is no other stderr.
    ///
    /// # Errors
    /// If the system refuses.
    #[cfg(unix)]
    pub fn stderr(&self) -> io::Result<std::fs::File> {
        Ok(self.inner.stderr.try_clone()?.into())
    }
}

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io::{self, BufRead, BufReader, Write};
    use std::os::fd::OwnedFd;
    use std::thread::{Builder, JoinHandle};

    #[derive(Debug)]
    pub(super) struct Inner {
        pub(super) stderr: OwnedFd,
        thread: Option<JoinHandle<()>>,
    }

    impl Inner {
        pub(super) fn start(beginnings: &'static [&'static str]) -> io::Result<Self> {
            let stderr = rustix::io::dup(io::stderr())?;
            let (reader, writer) = rustix::pipe::pipe()?;
            let mut passed = File::from(stderr.try_clone()?);
            let body = move || {
                let mut lines = BufReader::new(File::from(reader));
                let mut line = Vec::new();
                while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                    if !beginnings.iter().any(|text| line.starts_with(text.as_bytes())) {
                        // If stderr cannot be written to, there is nowhere left to report that.
                        let _ = passed.write_all(&line);
                    }
                    line.clear();
                }
            };
            let thread = Builder::new().name("stderr".to_owned()).spawn(body)?;
            rustix::stdio::dup2_stderr(&writer)?;
            Ok(Self { stderr, thread: Some(thread) })
        }
    }

    impl Drop for Inner {
        fn drop(&mut self) {
            // Stderr was the pipe's last writer, so the thread reaches the end of what was written.
            if rustix::stdio::dup2_stderr(&self.stderr).is_ok()
                && let Some(thread) = self.thread.take()
            {
                let _ = thread.join();
            }
        }
    }
}
