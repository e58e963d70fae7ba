//! `blocksmith validator`: the duties of validators between beacon nodes and a signer.

use std::net::SocketAddr;

use blocksmith_terminal::{Failure, Output};

/// The text of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "node"), allow(dead_code, reason = "read with the feature alone"))]
pub(crate) struct Graffiti([u8; 32]);

fn graffiti(text: &str) -> Result<Graffiti, String> {
    let mut bytes = [0; 32];
    let into = bytes.get_mut(..text.len()).ok_or("a block has room for 32 bytes")?;
    into.copy_from_slice(text.as_bytes());
    Ok(Graffiti(bytes))
}

#[derive(clap::Args)]
#[cfg_attr(not(feature = "node"), allow(dead_code, reason = "read with the feature alone"))]
pub(crate) struct Arguments {
    /// Beacon nodes, up to 16, in the order in which they are preferred. One that fails is asked
    /// last for 24 seconds, and for longer each time that it fails again.
    #[arg(long, value_name = "URL", value_delimiter = ',', required = true)]
    beacon_node: Vec<String>,
    /// Send votes and aggregates to all beacon nodes at once. Blocks are always sent to all.
    #[arg(long)]
    broadcast_votes: bool,
    /// The signer: a server of the remote-signing API, which has the keys and slashing protection.
    #[arg(long, value_name = "URL")]
    signer: String,
    /// The text of our blocks, 32 bytes at most. Without it, the node has its own.
    #[arg(long, value_name = "TEXT", value_parser = graffiti)]
    graffiti: Option<Graffiti>,
    /// Sign with a key only after nobody else was heard to sign with it for so many whole epochs.
    /// That is per start: 0 signs at once.
    #[arg(long, value_name = "EPOCHS", default_value_t = 0,
        value_parser = clap::value_parser!(u64).range(..=64))]
    doppelganger: u64,
    /// Serve figures of the duties for Prometheus on this address of the loopback interface.
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,
    /// Print a JSON line for each duty that begins or ends, instead of a line for each that is
    /// missed.
    #[arg(long)]
    json: bool,
}

/// Says which feature the command needs.
#[cfg(not(feature = "node"))]
pub(crate) fn run(_: &Arguments, _: Output) -> Result<u8, Failure> {
    Err(Failure::input(anyhow::anyhow!(
        "this program was built without the feature `node`, which validators need: \
         `cargo run -p blocksmith-cli --features node -- validator`"
    )))
}

#[cfg(feature = "node")]
pub(crate) use with_feature::run;

#[cfg(feature = "node")]
mod with_feature {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
    use std::time::Duration;

    use blocksmith::beacon_validator::service::{Ending, Journal};
    use blocksmith::beacon_validator::{DutyId, Kind, Outcome};
    use blocksmith::payload_attestation as payload;
    use blocksmith_consensus::Root;
    use blocksmith_node::metrics::Metrics;
    use blocksmith_node::validator::{DutyFigures, Options, PayloadFigures, ValidatorClient};
    use blocksmith_terminal::{EXIT_FAULT, Interrupt, note};

    use super::*;

    /// How often the command looks for a signal.
    const LOOK: Duration = Duration::from_millis(50);
    /// How often a node or a signer that does not answer is asked at the start.
    const AGAIN: Duration = Duration::from_millis(250);
    /// Lines that wait to be printed, at most: a reader that is slower than the duties loses some.
    const LINES: usize = 1 << 14;

    /// What becomes of a duty: `None` when it begins.
    enum Step {
        Duty(DutyId, Option<Outcome>),
        PayloadVote(payload::DutyId, Option<payload::Outcome>),
    }

    /// Hands the steps of the duties to the thread that prints.
    #[derive(Clone)]
    struct Steps {
        lines: SyncSender<Step>,
        ends_alone: bool,
        /// Lines for which there was no room.
        lost: Arc<AtomicU64>,
    }

    impl Journal for Steps {
        fn began(&mut self, duty: DutyId) {
            if !self.ends_alone {
                self.send(Step::Duty(duty, None));
            }
        }

        fn ended(&mut self, duty: DutyId, outcome: Outcome) {
            self.send(Step::Duty(duty, Some(outcome)));
        }
    }

    impl payload::service::Journal for Steps {
        fn began(&mut self, duty: payload::DutyId) {
            if !self.ends_alone {
                self.send(Step::PayloadVote(duty, None));
            }
        }

        fn ended(&mut self, duty: payload::DutyId, outcome: payload::Outcome) {
            self.send(Step::PayloadVote(duty, Some(outcome)));
        }

        fn took(&mut self, _: u64, _: payload::Step, _: u64) {}
    }

    impl Steps {
        fn send(&self, step: Step) {
            if self.lines.try_send(step).is_err() {
                // ORDERING: pairs with nothing; nothing but the number is handed over.
                self.lost.fetch_add(1, Relaxed);
            }
        }
    }

    /// Returns the line about a step, if there is one.
    fn line(step: Step, json: bool) -> Option<String> {
        let (slot, kind, validator, how) = match step {
            Step::Duty(DutyId { slot, kind, validator }, outcome) => {
                let how = match outcome {
                    None => How::Planned,
                    Some(Outcome::Sent) => How::Sent(None),
                    Some(Outcome::Missed(why)) => How::Missed(why.word()),
                };
                (slot, kind.word(), validator, how)
            }
            Step::PayloadVote(payload::DutyId { slot, validator }, outcome) => {
                let how = match outcome {
                    None => How::Planned,
                    Some(payload::Outcome::Sent { lead_ms }) => How::Sent(Some(lead_ms)),
                    Some(payload::Outcome::Missed(why)) => How::Missed(why.word()),
                };
                (slot, "payload_attestation", validator, how)
            }
        };
        if !json {
            let How::Missed(why) = how else { return None };
            return Some(format!("slot {slot}: {kind} of validator {validator} missed: {why}"));
        }
        let (step, more) = match how {
            How::Planned => ("planned", String::new()),
            How::Sent(lead) => {
                let lead = lead.map(|ms| format!(r#","lead_ms":{ms}"#));
                ("sent", lead.unwrap_or_default())
            }
            How::Missed(why) => ("missed", format!(r#","why":"{why}""#)),
        };
        Some(format!(
            r#"{{"slot":{slot},"kind":"{kind}","validator":{validator},"step":"{step}"{more}}}"#
        ))
    }

    /// How a duty stands.
    enum How {
        Planned,
        /// With its lead over the deadline in milliseconds, where that is measured.
        Sent(Option<i64>),
        Missed(&'static str),
    }

    /// Starts the client once the node and the signer answer; `None` if a signal came before.
    fn start(
        options: &Options,
        steps: &Steps,
        interrupt: &Interrupt,
    ) -> Result<Option<ValidatorClient>, Failure> {
        let mut told = false;
        while interrupt.signal().is_none() {
            match ValidatorClient::start(options, steps.clone()) {
                Ok(client) => return Ok(Some(client)),
                Err(error) if error.is_transient() => {
                    if !std::mem::replace(&mut told, true) {
                        note(format_args!("waiting: {error}"));
                    }
                    std::thread::sleep(AGAIN);
                }
                Err(error) => return Err(Failure::input(error)),
            }
        }
        Ok(None)
    }

    /// Prints what becomes of the duties until a signal comes, or until the threads of the duties
    /// and of the votes on payloads have ended by themselves. Says once whom `ended` names.
    fn print(
        ended: impl Fn() -> Vec<&'static str>,
        steps: &Receiver<Step>,
        json: bool,
        interrupt: &Interrupt,
        out: Output,
    ) -> Result<(), Failure> {
        let mut told = 0;
        while interrupt.signal().is_none() {
            let ended = ended();
            if ended.len() > std::mem::replace(&mut told, ended.len()) {
                let ended = ended.join(" and ");
                note(format_args!("error: {ended} ended, after more panics than are tolerated"));
            }
            match steps.recv_timeout(LOOK) {
                Ok(step) => line(step, json).map_or(Ok(()), |text| out.line(text))?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(())
    }

    pub(crate) fn run(arguments: &Arguments, out: Output) -> Result<u8, Failure> {
        let interrupt = Interrupt::listen().map_err(Failure::fault)?;
        let (figures, payload_figures) = (DutyFigures::default(), PayloadFigures::default());
        let options = Options {
            beacon_nodes: arguments.beacon_node.clone(),
            broadcasts_votes: arguments.broadcast_votes,
            signer: arguments.signer.clone(),
            graffiti: arguments.graffiti.map(|Graffiti(text)| Root::new(text)),
            doppelganger_epochs: arguments.doppelganger,
            figures: figures.clone(),
            payload_figures: payload_figures.clone(),
        };
        let (counted, votes) = (figures.clone(), payload_figures.clone());
        let metrics = arguments.metrics.map(|address| {
            let text = move || Some(counted.exposition() + &votes.exposition());
            Metrics::serve_text(address, text).map_err(Failure::input)
        });
        let metrics = metrics.transpose()?;
        let (lines, steps) = sync_channel(LINES);
        let lost = Arc::new(AtomicU64::new(0));
        let sender = Steps { lines, ends_alone: !arguments.json, lost: lost.clone() };
        let Some(client) = start(&options, &sender, &interrupt)? else {
            return Ok(interrupt.exit_code().unwrap_or(EXIT_FAULT));
        };
        // The duties' threads alone may hold the sender of the lines: the end of both ends them.
        drop(sender);
        if let Some(metrics) = &metrics {
            note(format_args!("figures at http://{}/metrics", metrics.address()));
        }
        if !arguments.json {
            out.line(format_args!("duties of {} keys begin", client.keys()))?;
        }
        print(|| client.ended(), &steps, arguments.json, &interrupt, out)?;
        let votes_on_payloads = client.votes_on_payloads();
        let ending = client.stop();
        // What has ended before the stop is told.
        while let Ok(step) = steps.try_recv() {
            line(step, arguments.json).map_or(Ok(()), |text| out.line(text))?;
        }
        if !arguments.json {
            for kind in [Kind::Proposal, Kind::Attestation, Kind::Aggregation] {
                out.line(format_args!("{}s sent: {}", kind.word(), figures.sent(kind)))?;
            }
            if votes_on_payloads {
                out.line(format_args!("payload attestations sent: {}", payload_figures.sent()))?;
            }
        }
        // ORDERING: pairs with nothing; the duties' thread has been joined.
        match lost.load(Relaxed) {
            0 => {}
            lost => note(format_args!("{lost} lines about duties found no reader")),
        }
        if ending == Ending::TooManyPanics {
            note("error: duties have ended by themselves, after more panics than are tolerated");
        }
        Ok(exit_code(ending, interrupt.exit_code()))
    }

    /// Returns the exit code of a client whose duties have ended like this, after the signal with
    /// that code. Duties that ended by themselves are a fault, also if a signal came then.
    fn exit_code(ending: Ending, signal: Option<u8>) -> u8 {
        match ending {
            Ending::Stopped => signal.unwrap_or(EXIT_FAULT),
            Ending::TooManyPanics => EXIT_FAULT,
        }
    }

    #[cfg(test)]
    mod tests {
        use blocksmith_terminal::Color;

        use super::*;

        #[test]
        fn duties_that_end_by_themselves_are_a_fault_also_if_a_signal_comes() {
            // Without a signal, and after SIGTERM.
            assert_eq!(exit_code(Ending::TooManyPanics, None), EXIT_FAULT);
            assert_eq!(exit_code(Ending::TooManyPanics, Some(143)), EXIT_FAULT);
            assert_eq!(exit_code(Ending::Stopped, Some(143)), 143);
        }

        #[test]
        fn the_lines_end_with_the_journal() {
            // The journal is dropped after one duty that was missed.
            let (lines, steps) = sync_channel(LINES);
            let mut journal = Steps { lines, ends_alone: true, lost: Arc::default() };
            let duty = DutyId { slot: 1, kind: Kind::Attestation, validator: 1 };
            let fault = Outcome::Missed(blocksmith::beacon_validator::Reason::Fault);
            Journal::ended(&mut journal, duty, fault);
            drop(journal);
            let interrupt = Interrupt::listen().expect("signals can be heard");
            let out = Output::new(Color::Never, true);
            print(Vec::new, &steps, false, &interrupt, out).expect("it ends");
            assert!(steps.try_recv().is_err(), "the line was taken");
        }
    }
}
