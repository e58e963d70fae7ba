//! `--trace`: the steps of the services' machines, in a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use blocksmith::trace::{Step, TARGET};
use blocksmith_node::trace::Recorder;
use blocksmith_terminal::{Failure, listen, note};

/// A trace that is being recorded.
pub(crate) struct Trace {
    recorder: Arc<Recorder>,
    path: PathBuf,
}

impl Trace {
    /// Creates the file and begins to record, if a file is given. A process records one trace.
    pub(crate) fn begin(path: Option<&Path>) -> Result<Option<Self>, Failure> {
        let Some(path) = path else { return Ok(None) };
        let name = || format!("--trace {}", path.display());
        let recorder = Recorder::create(path).with_context(name).map_err(Failure::opening)?;
        let (recorder, path) = (Arc::new(recorder), path.to_owned());
        let hears = recorder.clone();
        let listens = listen(TARGET, move |event| {
            if let Some(step) = Step::of(event) {
                hears.step(step);
            }
        });
        if !listens {
            return Err(Failure::fault(anyhow::anyhow!("something else listens to this process")));
        }
        Ok(Some(Self { recorder, path }))
    }

    /// Writes the end mark, and says on stderr what is missing. What follows is not recorded.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let name = format!("--trace {}", self.path.display());
        let counts = self.recorder.finish().map_err(|error| Failure::writing(&name, error))?;
        let missing = counts.filter(|counts| counts.left_out > 0);
        if let Some(counts) = missing {
            note(format_args!(
                "warning: {name}: {} of {} steps were left out, as the disk was too slow",
                counts.left_out,
                counts.steps + counts.left_out
            ));
        }
        Ok(())
    }
}
