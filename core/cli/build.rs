//! Puts the recorded chain under `tests/chain` into the program, so that it runs from anywhere.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
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

fn relative(root: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(root).unwrap_or(file);
    inside.to_string_lossy().replace('\\', "/")
}
