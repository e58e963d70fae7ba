//! Puts the recorded chain under `tests/chain` into the program, so that it runs from anywhere, and
//! has a release build linked with [`FOLD`] where the linker knows it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, io};

/// Tells the linker to keep functions whose code is equal only once. Rust promises no function an
/// address of its own. In a release build, which optimises little, this saves a tenth of the
/// program.
const FOLD: &str = "-Wl,--icf=all";

fn main() -> io::Result<()> {
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") && links_with(FOLD) {
        println!("cargo:rustc-link-arg-bins={FOLD}");
    }
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?);
    let root = manifest.join("../../tests/chain").canonicalize()?;
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = vec![];
    for folder in ["", "blocks", "attestations"] {
        for entry in fs::read_dir(root.join(folder))? {
            let path = entry?.path();
            if path.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut source = String::from("&[\n");
    for file in &files {
        let name = relative(&root, file);
        let _ = writeln!(source, "({name:?}, include_bytes!({:?}).as_slice()),", file.display());
    }
    source.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    fs::write(out.join("chain.rs"), source)
}

/// Returns whether an empty program can be linked with an argument, by the linker that links this
/// build. rustc's own linker can, which it takes on x86-64 Linux; GNU's cannot.
fn links_with(argument: &str) -> bool {
    let (Some(rustc), Some(target), Some(out)) =
        (env::var_os("RUSTC"), env::var_os("TARGET"), env::var_os("OUT_DIR"))
    else {
        return false;
    };
    let source = Path::new(&out).join("empty.rs");
    if fs::write(&source, "fn main() {}").is_err() {
        return false;
    }
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let mut command = Command::new(rustc);
    command.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        command.arg(format!("-Clinker={}", linker.to_string_lossy()));
    }
    command.arg("--target").arg(target).arg("-C").arg(format!("link-arg={argument}"));
    command.arg("-o").arg(Path::new(&out).join("empty")).arg(source);
    let linked = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    linked.is_ok_and(|status| status.success())
}

fn relative(root: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(root).unwrap_or(file);
    inside.to_string_lossy().replace('\\', "/")
}
