//! The sub-command `prove`: it has the solvers settle the proof obligations.

use std::path::{Path, PathBuf};

use blocksmith_terminal::{Color, EXIT_DIFFERS, EXIT_OK, Failure, Output, Report};

use crate::proofs::{self, Proof, Relation, Solver};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Relations of your own, in the form of `verification/proofs/*.rel`; without one, those of
    /// Blocksmith.
    files: Vec<PathBuf>,
    /// The solver, which must be on the PATH; without it, both are asked. Repeatable.
    #[arg(long, value_enum, value_name = "SOLVER")]
    solver: Vec<Solver>,
    /// Write the problems in SMT-LIB 2 to this folder, and ask no solver.
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
    /// Write the results as JSON to this file; `-` is stdout.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, color: Color) -> Result<u8, Failure> {
    let json = arguments.json.as_deref();
    let out = Output::new(color, Report::goes_to_stdout(json));
    let relations = match &arguments.files[..] {
        [] => proofs::all(),
        files => files.iter().map(|file| read(file)).collect::<Result<_, _>>()?,
    };
    if let Some(folder) = &arguments.write {
        return write(&relations, folder, out);
    }
    let report = Report::maybe("--json", json)?;
    let solvers = if arguments.solver.is_empty() { &Solver::ALL[..] } else { &arguments.solver };
    let mut proofs = Vec::new();
    for relation in &relations {
        for &solver in solvers {
            let began = std::time::Instant::now();
            let proof = proofs::prove(relation, solver).map_err(fault)?;
            print(&proof, began.elapsed().as_secs_f64(), out)?;
            proofs.push(proof);
        }
    }
    if let Some(report) = report {
        report.finish(&serde_json::to_string(&proofs).map_err(Failure::fault)?)?;
    }
    Ok(if proofs.iter().all(Proof::is_complete) { EXIT_OK } else { EXIT_DIFFERS })
}

fn read(file: &Path) -> Result<Relation, Failure> {
    let fail = |error| fault(format!("{}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| fail(error.to_string()))?;
    let name = file.file_stem().map_or("relation".into(), |name| name.to_string_lossy());
    Relation::read(&name, &text).map_err(fail)
}

fn write(relations: &[Relation], folder: &Path, out: Output) -> Result<u8, Failure> {
    for (name, script) in relations.iter().flat_map(proofs::scripts) {
        let file = folder.join(name);
        Report::open("--write", &file)?.finish(script.trim_end())?;
        out.line(file.display())?;
    }
    Ok(EXIT_OK)
}

/// Prints what a solver says of a relation, and how a twin ends.
fn print(proof: &Proof, seconds: f64, out: Output) -> Result<(), Failure> {
    let Proof { relation, solver, obligations, open, twins } = proof;
    let settled = obligations - open.len();
    let word = out.painted(open.is_empty(), format_args!("{settled} of {obligations} hold"));
    out.line(format_args!("{relation:<24} {solver:<5} {word} {seconds:>6.1} s"))?;
    for (name, answer) in open {
        out.line(format_args!("    {answer}: {name}"))?;
    }
    for twin in twins {
        let word = match &twin.path {
            Some(path) => format!("breaks \"{}\" in {} steps", twin.breaks, path.steps.len()),
            None => out.painted(false, format_args!("NOT REFUTED")).to_string(),
        };
        out.line(format_args!("  twin {} ({}): {word}", twin.twin, twin.hazard))?;
        let Some(path) = &twin.path else { continue };
        let first: Vec<String> =
            path.first.iter().map(|(name, at)| format!("{name} {at}")).collect();
        out.line(format_args!("      at first: {}", first.join(", ")))?;
        for (number, step) in path.steps.iter().enumerate() {
            out.line(format_args!("    {:>3} {step}", number + 1))?;
        }
    }
    Ok(())
}

fn fault(error: String) -> Failure {
    Failure::input(anyhow::Error::msg(error))
}
