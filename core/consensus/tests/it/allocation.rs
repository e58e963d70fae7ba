//! Tests that the memory that decoding allocates is bounded by the input, whatever its bytes claim.
//!
//! The allocator of this test binary (`allocation-counter`) counts, for each thread, the bytes that
//! are requested: each request counts with its whole size, and when it grows it counts again. For
//! every type that travels, hostile bytes are decoded: offsets that point anywhere, lists of as
//! many parts as fit, cut and lengthened encodings. The bound is [`PER_BYTE`] for each byte of the
//! input, plus [`AT_LEAST`].

use allocation_counter::measure;
use blocksmith_consensus::{BeaconState, HistoricalBatch, Mainnet, Minimal, Wire, decode_exact};

use crate::support::{advanced, genesis};

/// Bytes that may be allocated for each byte of an input.
const PER_BYTE: u64 = 8;
/// Bytes that may be allocated for any input: fixed parts, and the text of an error.
const AT_LEAST: u64 = 1 << 11;

/// What decoding `bytes` allocates beyond its bound, or 0 if it is within it. The value is dropped.
pub(crate) fn excess<T>(decode: impl Fn(&[u8]) -> T, bytes: &[u8]) -> u64 {
    let allocated = measure(|| drop(decode(bytes))).bytes_total;
    allocated.saturating_sub(PER_BYTE * bytes.len() as u64 + AT_LEAST)
}

/// Passes to `visit` what a peer might send in place of `encoding`.
pub(crate) fn hostile(encoding: &[u8], mut visit: impl FnMut(&[u8])) {
    const LONG: usize = 1 << 16;
    visit(encoding);
    for byte in [0x00, 0x01, 0x04, 0x80, 0xff] {
        visit(&vec![byte; LONG]);
        let mut longer = encoding.to_vec();
        longer.resize(encoding.len() + LONG, byte);
        visit(&longer);
        offsets(&longer, &mut visit);
    }
    (0..encoding.len().min(300)).for_each(|end| visit(&encoding[..end]));
    offsets(encoding, &mut visit);
}

/// Writes critical values over each place where an offset or a length may be.
fn offsets(encoding: &[u8], visit: &mut impl FnMut(&[u8])) {
    let end = encoding.len() as u32;
    let values =
        [0, 1, 4, 8, end / 2 / 4 * 4, end / 4 * 4, end, end + 1, 1 << 20, 1 << 31, u32::MAX];
    let mut bytes = encoding.to_vec();
    for at in (0..encoding.len().saturating_sub(3).min(240)).step_by(4) {
        for value in values {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            visit(&bytes);
        }
        bytes[at..at + 4].copy_from_slice(&encoding[at..at + 4]);
    }
}

/// Checks the bound on what a peer might send in place of `value`.
pub(crate) fn check<T: Wire>(name: &str, value: &T) {
    let mut inputs = 0;
    hostile(&value.encode(), |bytes| {
        inputs += 1;
        let excess = excess(decode_exact::<T>, bytes);
        assert_eq!(excess, 0, "{name}: {} bytes, input {inputs}", bytes.len());
    });
    assert!(inputs > 100, "{name}");
}

#[test]
fn a_state_allocates_no_more_than_a_multiple_of_its_bytes() {
    // Sends hostile bytes in place of states and of batches of roots, to either preset.
    let state = advanced(&genesis(), 9);
    let batch = HistoricalBatch::<Minimal> {
        block_roots: state.block_roots.clone(),
        state_roots: state.state_roots.clone(),
    };
    let mut inputs = 0;
    for encoding in [state.encode(), batch.encode()] {
        hostile(&encoding, |bytes| {
            inputs += 1;
            let excesses = [
                excess(BeaconState::<Minimal>::from_ssz_bytes, bytes),
                excess(BeaconState::<Mainnet>::from_ssz_bytes, bytes),
                excess(HistoricalBatch::<Minimal>::from_ssz_bytes, bytes),
                excess(HistoricalBatch::<Mainnet>::from_ssz_bytes, bytes),
            ];
            assert_eq!(excesses, [0; 4], "{} bytes, input {inputs}", bytes.len());
        });
    }
    assert!(inputs > 1_000);
}

#[test]
fn a_decoder_that_trusts_a_length_is_found_out() {
    // One decoder makes room for as many bytes as the first four say, up to a size that does no
    // harm; another makes room for what is there.
    let claimed = |bytes: &[u8]| {
        let length = bytes.first_chunk().map_or(0, |first| u32::from_le_bytes(*first));
        Vec::<u8>::with_capacity(length.min(1 << 24) as usize)
    };
    let mut found = 0;
    hostile(&[0; 64], |bytes| found += u64::from(excess(claimed, bytes) > 0));
    assert!(found > 0);
    hostile(&[0; 64], |bytes| assert_eq!(excess(<[u8]>::to_vec, bytes), 0));
}
