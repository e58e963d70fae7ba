//! Secret keys from files of EIP-2335, each locked while it is in use.
//!
//! **Contract.** [`decrypt`] takes a keystore and a password, and returns the key or an error that
//! names the field. [`load`] does so for every keystore of a folder, and holds a lock file beside
//! each until the keys are dropped, so that two signers on one machine never have the same key.
//!
//! **Bounds.** A keystore says what it costs to decrypt. One that asks for more than [`MAX_MEMORY`]
//! bytes, or for more than [`MAX_ROUNDS`] rounds, is refused before any memory is taken. A file is
//! at most [`MAX_FILE`] bytes long, and a folder has at most [`MAX_KEYS`] keystores.
//!
//! The password is normalised as the EIP demands: NFKD, and control codes are left out.
//!
//! Reference: EIP-2335.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};

use aes::cipher::{KeyIvInit, StreamCipher};
use blocksmith_consensus::bls::SecretKey;
use blocksmith_consensus::{PublicKeyBytes, hash};
use pbkdf2::sha2::Sha256;
use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;

/// Bytes that a key derivation may take. Scrypt takes `128 * r * (n + p + 1)`; EIP-2335's own
/// parameters (`n` = 262144, `r` = 8, `p` = 1) take 256 MiB and 2 KiB. What is above that is for
/// other values of `p`.
pub const MAX_MEMORY: u64 = 257 << 20;
/// Rounds that a key derivation may take: of scrypt's mixing of blocks of 128 bytes, and of PBKDF2.
/// EIP-2335's own parameters take 2^21 and 2^18.
pub const MAX_ROUNDS: u64 = 1 << 23;
/// Bytes of a keystore, or of a password, at most.
pub const MAX_FILE: u64 = 64 << 10;
/// Keystores of a folder, at most.
pub const MAX_KEYS: usize = 1 << 17;
/// The derived key: half for the cipher, half for the checksum.
const KEY_LENGTH: usize = 32;

/// What is wrong with a keystore, or with its password.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreProblem {
    /// It is not JSON of the right form; the text names the field.
    #[error("{0}")]
    Form(#[from] serde_json::Error),
    /// A field has a value that is not supported, or costs too much.
    #[error("{field}: {problem}")]
    Field {
        /// The field, with its path.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The checksum is that of another password.
    #[error("crypto.checksum: wrong password, or a damaged file")]
    Checksum,
    /// The system refuses, or the file is too long.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Another process has the key.
    #[error("in use: another process has locked {0}")]
    InUse(PathBuf),
    /// Two keystores of the folder have one key.
    #[error("pubkey: the same key as in {0}")]
    Twice(PathBuf),
}

/// A file and what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct KeystoreError {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: KeystoreProblem,
}

fn field(field: &'static str, problem: impl Into<String>) -> KeystoreProblem {
    KeystoreProblem::Field { field, problem: problem.into() }
}

#[derive(Deserialize)]
struct Keystore {
    crypto: Crypto,
    #[serde(default)]
    pubkey: Option<String>,
    version: u64,
}

#[derive(Deserialize)]
struct Crypto {
    kdf: Module<serde_json::Value>,
    checksum: Module<serde_json::Value>,
    cipher: Module<CipherParameters>,
}

#[derive(Deserialize)]
struct Module<P> {
    function: String,
    params: P,
    message: String,
}

#[derive(Deserialize)]
struct CipherParameters {
    iv: String,
}

#[derive(Deserialize)]
struct Scrypt {
    dklen: u64,
    n: u64,
    r: u32,
    p: u32,
    salt: String,
}

#[derive(Deserialize)]
struct Pbkdf2 {
    dklen: u64,
    c: u32,
    prf: String,
    salt: String,
}

fn bytes(name: &'static str, text: &str) -> Result<Vec<u8>, KeystoreProblem> {
    hex::decode(text).map_err(|error| field(name, error.to_string()))
}

/// The password as the EIP has it encrypted: NFKD, without control codes, in UTF-8.
fn normalised(password: &str) -> Vec<u8> {
    let kept = |symbol: &char| !matches!(*symbol, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}');
    password.nfkd().filter(kept).collect::<String>().into_bytes()
}

fn derive(
    kdf: &Module<serde_json::Value>,
    password: &[u8],
) -> Result<[u8; KEY_LENGTH], KeystoreProblem> {
    let mut key = [0; KEY_LENGTH];
    let length = |dklen| {
        let right = dklen == KEY_LENGTH as u64;
        right.then_some(()).ok_or_else(|| field("crypto.kdf.params.dklen", "expected 32"))
    };
    let form = |error: serde_json::Error| field("crypto.kdf.params", error.to_string());
    match kdf.function.as_str() {
        "scrypt" => {
            let it: Scrypt = Deserialize::deserialize(&kdf.params).map_err(form)?;
            length(it.dklen)?;
            let salt = bytes("crypto.kdf.params.salt", &it.salt)?;
            let wrong = |problem: &str| field("crypto.kdf.params", problem);
            if !it.n.is_power_of_two() || it.n < 2 {
                return Err(wrong("n is not a power of two above one"));
            }
            let blocks = it.n.checked_mul(u64::from(it.r));
            let rounds = blocks.and_then(|blocks| blocks.checked_mul(u64::from(it.p)));
            // The table of n blocks, the p blocks that are mixed, and one to mix with.
            let places = it.n.checked_add(u64::from(it.p) + 1);
            let block = u64::from(it.r) * 128;
            let memory = places.and_then(|places| places.checked_mul(block));
            if memory.is_none_or(|memory| memory > MAX_MEMORY)
                || rounds.is_none_or(|rounds| rounds > MAX_ROUNDS)
            {
                return Err(wrong("n, r and p cost more memory or time than is allowed"));
            }
            let log_n = u8::try_from(it.n.trailing_zeros()).unwrap_or(u8::MAX);
            let params = scrypt::Params::new(log_n, it.r, it.p);
            let params = params.map_err(|error| wrong(&error.to_string()))?;
            scrypt::scrypt(password, &salt, &params, &mut key)
                .map_err(|error| wrong(&error.to_string()))?;
        }
        "pbkdf2" => {
            let it: Pbkdf2 = Deserialize::deserialize(&kdf.params).map_err(form)?;
            length(it.dklen)?;
            if it.prf != "hmac-sha256" {
                return Err(field("crypto.kdf.params.prf", "expected hmac-sha256"));
            }
            if it.c == 0 || u64::from(it.c) > MAX_ROUNDS {
                return Err(field("crypto.kdf.params.c", format!("not within 1 and {MAX_ROUNDS}")));
            }
            let salt = bytes("crypto.kdf.params.salt", &it.salt)?;
            pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, it.c, &mut key);
        }
        other => return Err(field("crypto.kdf.function", format!("{other:?} is not known"))),
    }
    Ok(key)
}

/// Decrypts a keystore. Blocks for the derivation: about a second with the EIP's parameters.
///
/// # Errors
/// [`KeystoreProblem`] names the field that is wrong, or the checksum if the password is.
pub fn decrypt(keystore: &[u8], password: &str) -> Result<SecretKey, KeystoreProblem> {
    let keystore: Keystore = serde_json::from_slice(keystore)?;
    let crypto = &keystore.crypto;
    if keystore.version != 4 {
        return Err(field("version", format!("expected 4, found {}", keystore.version)));
    }
    if crypto.checksum.function != "sha256" {
        return Err(field("crypto.checksum.function", "expected sha256"));
    }
    if crypto.cipher.function != "aes-128-ctr" {
        return Err(field("crypto.cipher.function", "expected aes-128-ctr"));
    }
    let wrong = |name, expected: &'static str| move |_| field(name, expected);
    let mut secret: [u8; 32] = bytes("crypto.cipher.message", &crypto.cipher.message)?
        .try_into()
        .map_err(wrong("crypto.cipher.message", "expected 32 bytes"))?;
    let iv: [u8; 16] = bytes("crypto.cipher.params.iv", &crypto.cipher.params.iv)?
        .try_into()
        .map_err(wrong("crypto.cipher.params.iv", "expected 16 bytes"))?;
    let checksum = bytes("crypto.checksum.message", &crypto.checksum.message)?;

    let key = derive(&crypto.kdf, &normalised(password))?;
    let (of_cipher, of_checksum) = key.split_at(KEY_LENGTH / 2);
    if hash(&[of_checksum, &secret].concat()).as_bytes() != checksum.as_slice() {
        return Err(KeystoreProblem::Checksum);
    }
    let mut cipher = ctr::Ctr128BE::<aes::Aes128>::new_from_slices(of_cipher, &iv)
        .map_err(|error| field("crypto.cipher", error.to_string()))?;
    cipher.apply_keystream(&mut secret);
    let secret = SecretKey::from_bytes(&secret)
        .map_err(|error| field("crypto.cipher.message", error.to_string()))?;
    if let Some(stated) = keystore.pubkey {
        let actual = secret.public_key().to_bytes();
        let stated = stated.strip_prefix("0x").unwrap_or(&stated);
        if !stated.eq_ignore_ascii_case(&hex::encode(actual.as_bytes())) {
            return Err(field("pubkey", format!("is {stated}, but the key is that of {actual}")));
        }
    }
    Ok(secret)
}

/// A secret key and the lock on its file.
#[derive(Debug)]
pub struct LockedKey {
    /// The key.
    pub secret: SecretKey,
    /// Its public key.
    pub public_key: PublicKeyBytes,
    /// The keystore.
    pub path: PathBuf,
    /// The lock is held as long as this is open. A key without a file has none.
    _lock: Option<File>,
}

impl LockedKey {
    /// A key that is in no file.
    #[must_use]
    pub fn without_file(secret: SecretKey, name: &str) -> Self {
        let public_key = secret.public_key().to_bytes();
        Self { secret, public_key, path: PathBuf::from(name), _lock: None }
    }
}

/// Decrypts every keystore of a folder: the files whose names end in `.json`, in the order of their
/// names. `passwords` is a file with the password of all, or a folder that has, for `NAME.json`, a
/// file `NAME.txt`; line ends at its end do not belong to the password. Blocks for about a second a
/// key.
///
/// # Errors
/// [`KeystoreError`] names the first file that is wrong, in use, or a copy of another.
pub fn load(folder: &Path, passwords: &Path) -> Result<Vec<LockedKey>, KeystoreError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |problem: KeystoreProblem| KeystoreError { path, problem }
    };
    let mut keys: Vec<LockedKey> = Vec::new();
    for path in keystores(folder).map_err(|error| at(folder)(error.into()))? {
        let password = if passwords.is_dir() {
            let name = path.with_extension("txt");
            passwords.join(name.file_name().unwrap_or_default())
        } else {
            passwords.to_owned()
        };
        let text = read_limited(&password).and_then(|bytes| {
            String::from_utf8(bytes).map_err(|error| field("password", error.to_string()))
        });
        let text = text.map_err(at(&password))?;
        let lock = lock(&path).map_err(at(&path))?;
        let secret = read_limited(&path)
            .and_then(|bytes| decrypt(&bytes, text.trim_end_matches(['\r', '\n'])))
            .map_err(at(&path))?;
        let public_key = secret.public_key().to_bytes();
        if let Some(other) = keys.iter().find(|other| other.public_key == public_key) {
            return Err(at(&path)(KeystoreProblem::Twice(other.path.clone())));
        }
        keys.push(LockedKey { secret, public_key, path, _lock: Some(lock) });
    }
    Ok(keys)
}

fn keystores(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "json") && path.is_file() {
            paths.push(path);
        }
        if paths.len() > MAX_KEYS {
            let problem = format!("more than {MAX_KEYS} keystores");
            return Err(std::io::Error::new(std::io::ErrorKind::QuotaExceeded, problem));
        }
    }
    paths.sort();
    Ok(paths)
}

fn read_limited(path: &Path) -> Result<Vec<u8>, KeystoreProblem> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(field("file", format!("longer than {MAX_FILE} bytes")));
    }
    Ok(bytes)
}

/// Locks the file beside a keystore: beside the keystore itself, if `path` is a link to it.
fn lock(path: &Path) -> Result<File, KeystoreProblem> {
    let name = fs::canonicalize(path)?.with_extension("json.lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&name)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(KeystoreProblem::InUse(name)),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}
