//! Runs a million inputs through the harness of the fuzz targets: arbitrary bytes, and damaged
//! encodings.

use std::path::{Path, PathBuf};

#[path = "../../fuzz/harness.rs"]
mod harness;

/// A generator of random numbers: xorshift64*, seeded, so that every run tries the same inputs.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// The recorded chain's files of one kind.
fn seeds(folder: &str) -> Vec<Vec<u8>> {
    let folder: PathBuf =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/chain").join(folder);
    let mut paths: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let ssz = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "ssz");
    paths.iter().filter(|path| ssz(path)).map(|path| std::fs::read(path).unwrap()).collect()
}

/// Writes the next input to `bytes`: one in four is arbitrary and short; each of the others is a
/// seed, damaged up to four times.
fn next_input(random: &mut Random, seeds: &[Vec<u8>], bytes: &mut Vec<u8>) {
    bytes.clear();
    if seeds.is_empty() || random.below(4) == 0 {
        let length = random.below(300);
        bytes.extend((0..length).map(|_| random.next() as u8));
        return;
    }
    bytes.extend_from_slice(&seeds[random.below(seeds.len())]);
    for _ in 0..=random.below(4) {
        damage(random, bytes);
    }
}

fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    let (at, value) = (random.below(bytes.len()), random.next());
    match random.below(8) {
        0 => bytes.truncate(at),
        1 => bytes.extend(std::iter::repeat_n(value as u8, random.below(40))),
        2 => drop(bytes.drain(at..(at + random.below(40)).min(bytes.len()))),
        3 => bytes.insert(at, value as u8),
        // Offsets are where the fixed parts are, and small.
        4 | 5 => {
            let start = random.below(600) / 4 * 4;
            let offset = (value % 2048) as u32;
            for (place, byte) in bytes.iter_mut().skip(start).zip(offset.to_le_bytes()) {
                *place = byte;
            }
        }
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value as u8;
            }
        }
    }
}

#[test]
fn a_million_inputs_are_errors_or_the_encodings_of_their_values() {
    // Runs each entry point's harness on its share of seeded inputs and prints how many decoded.
    type Target = (&'static str, fn(&[u8]) -> bool, &'static str, usize);
    const TARGETS: [Target; 4] = [
        ("block", harness::block, "blocks", 350_000),
        ("attestation", harness::attestation, "attestations", 400_000),
        ("slashing", harness::slashing, "slashings", 220_000),
        ("state", harness::state, "states", 30_000),
    ];
    let mut total = 0;
    for (name, target, folder, inputs) in TARGETS {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ inputs as u64);
        let seeds = seeds(folder);
        assert!(!seeds.is_empty(), "no seeds in {folder}");
        assert!(seeds.iter().any(|seed| target(seed)), "no seed of {folder} decodes");
        let mut bytes = Vec::new();
        let mut decoded = 0;
        for _ in 0..inputs {
            next_input(&mut random, &seeds, &mut bytes);
            decoded += usize::from(target(&bytes));
        }
        // The run is worth its time only if damage has both outcomes.
        assert!(decoded > 0 && decoded < inputs, "{name}: {decoded} of {inputs} decoded");
        println!("{name}: {inputs} inputs, {decoded} decoded");
        total += inputs;
    }
    println!("{total} inputs tried");
    assert_eq!(total, 1_000_000);
}
