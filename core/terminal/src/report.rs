//! Report files, as a command line names them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::Failure;

/// A report that will be written when the work is done.
///
/// **Contract.** The named file itself is written, be it a device, a pipe or what a link leads to;
/// `-` is stdout. A new file has the mode that the umask prescribes. Whether the file can be
/// written is tested before the work, which leaves no trace. Until the report is complete in
/// memory, the file is neither created, truncated nor written, so an interrupted command leaves no
/// partial report.
#[derive(Debug)]
pub struct Report {
    /// The option that names the report, for errors.
    option: &'static str,
    target: PathBuf,
}

impl Report {
    /// Makes sure that `target`, which `option` of the command line names, can be written to.
    ///
    /// # Errors
    /// If it is a folder, or the file or its folder cannot be written to.
    pub fn open(option: &'static str, target: &Path) -> Result<Self, Failure> {
        let report = Self { option, target: target.to_owned() };
        if !report.is_stdout() {
            report.probe().with_context(|| report.name()).map_err(Failure::opening)?;
        }
        Ok(report)
    }

    /// Like [`Report::open`], if a report is wanted.
    ///
    /// # Errors
    /// As [`Report::open`].
    pub fn maybe(option: &'static str, target: Option<&Path>) -> Result<Option<Self>, Failure> {
        target.map(|target| Self::open(option, target)).transpose()
    }

    /// Returns whether a path stands for stdout.
    #[must_use]
    pub fn goes_to_stdout(target: Option<&Path>) -> bool {
        target.is_some_and(|target| target == Path::new("-"))
    }

    fn is_stdout(&self) -> bool {
        Self::goes_to_stdout(Some(&self.target))
    }

    /// Returns the name of the report in errors: the option and the path.
    fn name(&self) -> String {
        format!("{} {}", self.option, self.target.display())
    }

    /// Tests whether the target can be written to.
    fn probe(&self) -> io::Result<()> {
        match self.target.metadata() {
            Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            // Opening a pipe would wait for its reader.
            Ok(there) if !there.is_file() => Ok(()),
            Ok(_) => OpenOptions::new().write(true).open(&self.target).map(drop),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.probe_folder(),
            Err(error) => Err(error),
        }
    }

    /// Tests whether a file can be created where there is none.
    fn probe_folder(&self) -> io::Result<()> {
        // If a link leads nowhere yet, its target is created at the end.
        let target = match self.target.read_link() {
            Ok(link) => self.target.parent().unwrap_or(Path::new("")).join(link),
            Err(_) => self.target.clone(),
        };
        let folder = match target.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        // The only way to find out about a folder is to write to it.
        let probe = folder.join(format!(".blocksmith-{}", std::process::id()));
        File::create_new(&probe)?;
        std::fs::remove_file(probe)
    }

    /// Writes the report, followed by a line break.
    ///
    /// # Errors
    /// If the disk is full, say; what is in the file then is not a report.
    pub fn finish(self, text: &str) -> Result<(), Failure> {
        if self.is_stdout() {
            let mut stdout = io::stdout().lock();
            let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
            return written.map_err(|error| Failure::writing("stdout", error));
        }
        let write = || -> io::Result<()> {
            let mut file = File::create(&self.target)?;
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            if file.metadata()?.is_file() {
                file.sync_all()?;
            }
            Ok(())
        };
        write().map_err(|error| Failure::writing(&self.name(), error))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_report_is_not_there_before_it_is_written_and_then_it_is_whole() {
        // The folder is empty until the end, and then contains only the report.
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("report.json");
        let report = Report::open("--json", &target).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        report.finish("{}").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "{}\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_report_may_be_in_a_folder_that_is_named_from_here() {
        // A folder below the one in which the test runs, named without the way to it.
        let folder = tempfile::tempdir_in(".").unwrap();
        let name = folder.path().file_name().unwrap();
        let target = Path::new(name).join("report.json");
        Report::open("--json", &target).unwrap().finish("{}").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "{}\n");
    }

    #[test]
    fn a_longer_report_that_was_there_is_replaced() {
        // Nothing of the old report is left after the new one.
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("report.json");
        fs::write(&target, "a long report of yesterday").unwrap();
        let report = Report::open("--json", &target).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "a long report of yesterday");
        report.finish("short").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "short\n");
    }

    #[test]
    fn what_cannot_be_written_is_told_before_the_work() {
        // A folder, and a file in a folder that does not exist; the error names the path.
        let folder = tempfile::tempdir().unwrap();
        for target in [folder.path().to_owned(), folder.path().join("none/report.json")] {
            let failure = Report::open("--json", &target).unwrap_err();
            assert_eq!(failure.code(), crate::EXIT_INPUT);
            assert!(format!("{failure:?}").contains(target.to_str().unwrap()), "{failure:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_pipes_and_devices_are_written_themselves() {
        // A link that leads nowhere yet, one that leads to a file, a named pipe, and the device
        // that is always full.
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (link, file) = (folder.path().join("link"), folder.path().join("file"));
        symlink("file", &link).unwrap();
        for text in ["first", "second"] {
            Report::open("--json", &link).unwrap().finish(text).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), format!("{text}\n"));
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        }
        // The mode is that of any other program's file here.
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&file), mode(&plain));

        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let report = Report::open("--json", &pipe).unwrap();
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        report.finish("through").unwrap();
        assert_eq!(reader.join().unwrap(), "through\n");

        if Path::new("/dev/full").exists() {
            let report = Report::open("--json", Path::new("/dev/full")).unwrap();
            assert_eq!(report.finish("lost").unwrap_err().code(), crate::EXIT_FAULT);
        }
    }
}
