//! The sealed file: set, list, remove, rotate; what is damaged or foreign; the fixture of format 1.

use super::*;

fn vault(folder: &Path, master_key: MasterKey) -> Embedded {
    Embedded::new(&EmbeddedConfig { file: folder.join("a.vault"), master_key })
}

fn with_key_file(folder: &Path) -> Embedded {
    vault(folder, MasterKey::File(folder.join("a.key")))
}

#[test]
fn what_is_set_is_there_and_nowhere_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let vault = with_key_file(folder.path());
    assert!(vault.get("backend").unwrap_err().to_string().contains("gatehouse vault set"));
    vault.set("backend", &Secret::new("canary-1"), 5).unwrap();
    vault.set("backend", &Secret::new("canary-2"), 6).unwrap();
    vault.set("other", &Secret::new("canary-3"), 7).unwrap();
    assert_eq!(vault.get("backend").unwrap().expose(), "canary-2");
    let listed = vault.list().unwrap();
    assert_eq!((&*listed[0].name, listed[0].version, listed[0].set_at), ("backend", 2, 6));
    let text = std::fs::read_to_string(folder.path().join("a.vault")).unwrap();
    assert!(!text.contains("canary") && !text.contains("backend"), "{text}");
    assert!(vault.remove("backend").unwrap() && !vault.remove("backend").unwrap());
    assert!(vault.get("backend").unwrap_err().to_string().contains("`backend`"));
    use std::os::unix::fs::PermissionsExt;
    for name in ["a.vault", "a.key"] {
        let mode = folder.path().join(name).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
}

#[test]
fn another_key_and_every_changed_byte_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let vault = with_key_file(folder.path());
    vault.set("name", &Secret::new("value"), 5).unwrap();
    let file = folder.path().join("a.vault");
    let whole = std::fs::read(&file).unwrap();
    let is_space = |byte: u8| byte.is_ascii_whitespace();
    for place in (0..whole.len()).filter(|&place| !is_space(whole[place])) {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        std::fs::write(&file, &changed).unwrap();
        assert!(vault.get("name").is_err(), "byte {place}");
    }
    std::fs::write(&file, &whole).unwrap();
    assert!(vault.get("name").is_ok());
    std::fs::write(folder.path().join("a.key"), "another key of more than 32 characters").unwrap();
    let error = vault.get("name").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("a.key"), "{error}");
}

#[test]
fn a_new_master_key_opens_and_the_old_one_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let vault = with_key_file(folder.path());
    vault.set("name", &Secret::new("value"), 5).unwrap();
    let (file, key) = (folder.path().join("a.vault"), folder.path().join("a.key"));
    let beside = |name: &str| {
        let file = folder.path().join(name);
        Embedded::new(&EmbeddedConfig { file, master_key: MasterKey::File(key.clone()) })
    };
    let (other, absent) = (beside("b.vault"), beside("c.vault"));
    other.set("name", &Secret::new("of the other"), 5).unwrap();
    let (old_file, old_key) = (std::fs::read(&file).unwrap(), std::fs::read(&key).unwrap());
    vault.rotate_key(&[other.clone(), absent]).unwrap();
    assert_eq!(vault.get("name").unwrap().expose(), "value");
    assert_eq!(other.get("name").unwrap().expose(), "of the other", "it is sealed along");
    assert!(!folder.path().join("c.vault").exists(), "what is not there is not made");
    let new_key = std::fs::read(&key).unwrap();
    assert_ne!(new_key, old_key);
    std::fs::write(&key, &old_key).unwrap();
    assert!(vault.get("name").is_err());
    // As a crash between the steps leaves it: both keys, the vault sealed with the old one.
    std::fs::write(&key, [&new_key[..], b"\n", &old_key].concat()).unwrap();
    std::fs::write(&file, old_file).unwrap();
    assert_eq!(vault.get("name").unwrap().expose(), "value");
}

#[test]
fn a_passphrase_seals_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("phrase");
    std::fs::write(&file, "short\n").unwrap();
    let vault = vault(folder.path(), MasterKey::PassphraseFile(file.clone()));
    let value = Secret::new("value");
    assert!(vault.set("name", &value, 1).unwrap_err().to_string().contains("12 characters"));
    std::fs::write(&file, "correct horse battery\n").unwrap();
    vault.set("name", &value, 1).unwrap();
    assert_eq!(vault.get("name").unwrap().expose(), "value");
    let text = std::fs::read_to_string(folder.path().join("a.vault")).unwrap();
    assert!(text.contains("argon2id"), "{text}");
}

#[test]
fn the_fixture_of_format_1_opens_for_ever() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    for (file, master_key) in [
        ("format-1-key.vault", MasterKey::File(folder.join("format-1.key"))),
        ("format-1-passphrase.vault", MasterKey::PassphraseFile(folder.join("format-1.phrase"))),
    ] {
        let vault = Embedded::new(&EmbeddedConfig { file: folder.join(file), master_key });
        assert_eq!(vault.get("backend").unwrap().expose(), "a fixture's secret", "{file}");
        assert_eq!(vault.list().unwrap()[0].version, 1, "{file}");
    }
}

#[test]
fn names_and_values_have_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let vault = with_key_file(folder.path());
    for name in ["", "a/b", "ä", &"x".repeat(128)] {
        assert!(vault.set(name, &Secret::new("value"), 1).is_err(), "{name}");
    }
    for value in ["", &"x".repeat(SECRET_BYTES_MAX + 1)] {
        assert!(vault.set("name", &Secret::new(value), 1).is_err());
    }
}
