//! The test vectors of EIP-2335, and files that are wrong in one place each.

use std::fs;

use blocksmith_consensus::bls::SecretKey;
use tempfile::TempDir;

use crate::signer::keystore::{KeystoreProblem, decrypt, load};

/// The secret, the password and the public key of both vectors.
const SECRET: &str = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
const PASSWORD: &str = "𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑";
const PUBLIC_KEY: &str = "9612d7a727c9d0a22e185a1c768478dfe919cada9266988cb32359c11f2b7b27f4ae4040902382ae2910c15e2b420d07";
const SALT: &str = "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3";

fn keystore(kdf: &str, checksum: &str, message: &str) -> String {
    format!(
        r#"{{"crypto":{{"kdf":{kdf},"checksum":{{"function":"sha256","params":{{}},"message":"{checksum}"}},
        "cipher":{{"function":"aes-128-ctr","params":{{"iv":"264daa3f303d7259501c93d997d84fe6"}},
        "message":"{message}"}}}},"description":"a vector","pubkey":"{PUBLIC_KEY}",
        "path":"m/12381/60/0/0","uuid":"64625def-3331-4eea-ab6f-782f3ed16a83","version":4}}"#
    )
}

fn pbkdf2() -> String {
    keystore(
        &format!(
            r#"{{"function":"pbkdf2","params":{{"dklen":32,"c":262144,"prf":"hmac-sha256","salt":"{SALT}"}},"message":""}}"#
        ),
        "8a9f5d9912ed7e75ea794bc5a89bca5f193721d30868ade6f73043c6ea6febf1",
        "cee03fde2af33149775b7223e7845e4fb2c8ae1792e5f99fe9ecf474cc8c16ad",
    )
}

fn scrypt(n: u64, r: u32, p: u32) -> String {
    keystore(
        &format!(
            r#"{{"function":"scrypt","params":{{"dklen":32,"n":{n},"p":{p},"r":{r},"salt":"{SALT}"}},"message":""}}"#
        ),
        "d2217fe5f3e9a1e34581ef8a78f7c9928e436d36dacc5e846690a5581e8ea484",
        "06ae90d55fe0a6e9c5c3bc5b170827b2e5cce3929ed3f116c2811e6366dfe20f",
    )
}

fn public_key(secret: &SecretKey) -> String {
    hex::encode(secret.public_key().to_bytes().as_bytes())
}

#[test]
fn the_vectors_of_the_eip_are_decrypted() {
    // Both derivations, with the EIP's own costs; the key is compared with the secret that it
    // names.
    let expected: [u8; 32] = hex::decode(SECRET).unwrap().try_into().unwrap();
    let expected = SecretKey::from_bytes(&expected).unwrap();
    assert_eq!(public_key(&expected), PUBLIC_KEY);
    for keystore in [pbkdf2(), scrypt(262_144, 8, 1)] {
        let secret = decrypt(keystore.as_bytes(), PASSWORD).unwrap();
        assert_eq!(secret.sign(b"message"), expected.sign(b"message"));
    }
}

#[test]
fn a_password_is_normalised() {
    // The EIP's example in plain letters, and with control codes between them.
    for password in ["testpassword🔑", "test\u{7f}pass\u{0}word\u{85}🔑\n"] {
        assert!(decrypt(pbkdf2().as_bytes(), password).is_ok());
    }
    let wrong = decrypt(pbkdf2().as_bytes(), "testpassword");
    assert!(matches!(wrong, Err(KeystoreProblem::Checksum)), "{wrong:?}");
}

#[test]
fn a_keystore_cannot_ask_for_any_cost() {
    // Each would take more than is allowed, or makes no sense; none gets as far as the checksum.
    // The last three have a small table, and large blocks.
    for (n, r, p) in [
        (1 << 40, 8, 1),
        (262_144, 16, 1),
        (262_144, 8, 5),
        (1 << 20, u32::MAX, 9),
        (1 << 63, 8, u32::MAX),
        (2, 1 << 20, 4),
        (2, 1 << 20, 1),
        (1 << 10, 1 << 11, 4),
    ] {
        let error = decrypt(scrypt(n, r, p).as_bytes(), PASSWORD).unwrap_err().to_string();
        assert!(error.contains("crypto.kdf.params: n, r and p cost"), "{error}");
    }
    for (n, r, p) in [(0, 8, 1), (1, 8, 1), (3, 8, 1), (2, 0, 1), (2, 8, 0)] {
        let error = decrypt(scrypt(n, r, p).as_bytes(), PASSWORD).unwrap_err().to_string();
        assert!(error.starts_with("crypto.kdf.params"), "{error}");
    }
    let costly = pbkdf2().replace("262144", "16777216");
    let error = decrypt(costly.as_bytes(), PASSWORD).unwrap_err().to_string();
    assert!(error.starts_with("crypto.kdf.params.c"), "{error}");
}

#[test]
fn an_error_names_the_field() {
    // One field is wrong in each; the costs are those of a cheap derivation.
    let cheap = pbkdf2().replace("262144", "1");
    for (from, to, field) in [
        (r#""version":4"#, r#""version":3"#, "version"),
        ("aes-128-ctr", "aes-256-gcm", "crypto.cipher.function"),
        (r#""function":"sha256""#, r#""function":"md5""#, "crypto.checksum.function"),
        ("hmac-sha256", "hmac-sha1", "crypto.kdf.params.prf"),
        (r#""function":"pbkdf2""#, r#""function":"argon2""#, "crypto.kdf.function"),
        (r#""dklen":32"#, r#""dklen":16"#, "crypto.kdf.params.dklen"),
        ("264daa3f", "264daa", "crypto.cipher.params.iv"),
        ("cee03fde", "cee0", "crypto.cipher.message"),
        (r#""salt":"d4"#, r#""salt":"xx"#, "crypto.kdf.params.salt"),
        (r#""checksum""#, r#""sum""#, "missing field `checksum`"),
        (r#""c":1"#, r#""c":2"#, "crypto.checksum"),
    ] {
        let wrong = cheap.replace(from, to);
        assert_ne!(wrong, cheap, "{from}");
        let error = decrypt(wrong.as_bytes(), PASSWORD).unwrap_err().to_string();
        assert!(error.starts_with(field), "{from}: {error}");
    }
    let other = pbkdf2().replace(&PUBLIC_KEY[..4], "a99a");
    let error = decrypt(other.as_bytes(), PASSWORD).unwrap_err().to_string();
    assert!(error.starts_with("pubkey: "), "{error}");
}

#[test]
fn a_folder_is_loaded_once_at_a_time_and_without_copies() {
    // The keystore's lock is held until the keys are dropped; a second file has the same key.
    let folder = TempDir::new().unwrap();
    let passwords = folder.path().join("passwords");
    fs::create_dir(&passwords).unwrap();
    let path = folder.path().join("one.json");
    fs::write(&path, pbkdf2()).unwrap();
    let missing = load(folder.path(), &passwords).unwrap_err();
    assert_eq!(missing.path, passwords.join("one.txt"));
    fs::write(passwords.join("one.txt"), format!("{PASSWORD}\n")).unwrap();

    let keys = load(folder.path(), &passwords).unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].public_key.to_string(), format!("0x{PUBLIC_KEY}"));
    let second = load(folder.path(), &passwords).unwrap_err();
    assert!(matches!(second.problem, KeystoreProblem::InUse(_)), "{second}");
    assert_eq!(second.path, path);
    drop(keys);

    fs::write(folder.path().join("two.json"), pbkdf2()).unwrap();
    // One password for all.
    let twice = load(folder.path(), &passwords.join("one.txt")).unwrap_err();
    assert!(matches!(twice.problem, KeystoreProblem::Twice(_)), "{twice}");
    assert_eq!(twice.path, folder.path().join("two.json"));
    fs::write(folder.path().join("two.json"), vec![b' '; (64 << 10) + 1]).unwrap();
    let long = load(folder.path(), &passwords.join("one.txt")).unwrap_err();
    assert!(long.to_string().contains("two.json: file: longer than 65536 bytes"), "{long}");
}

#[cfg(unix)]
#[test]
fn a_keystore_that_is_reached_through_a_link_has_the_same_lock() {
    // Two folders; the second has a link to the first one's keystore.
    let (folder, linked) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let password = folder.path().join("password");
    fs::write(&password, PASSWORD).unwrap();
    let path = folder.path().join("one.json");
    fs::write(&path, pbkdf2()).unwrap();
    std::os::unix::fs::symlink(&path, linked.path().join("other.json")).unwrap();
    let keys = load(folder.path(), &password).unwrap();
    let second = load(linked.path(), &password).unwrap_err();
    assert!(matches!(second.problem, KeystoreProblem::InUse(_)), "{second}");
    drop(keys);
    assert_eq!(load(linked.path(), &password).unwrap().len(), 1);
}
