//! The controller's key file.
#![allow(missing_docs, clippy::unwrap_used)] // a test fails by it

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use leafwall_controller::keys::{KeyError, create, load, load_or_create};
use support::Directory;

#[test]
fn a_key_is_made_once_and_stays() {
    let directory = Directory::new();
    let path = directory.path().join("key");
    assert!(matches!(load(&path), Err(KeyError::File { action: "open", .. })));
    let key = load_or_create(&path).unwrap();
    assert_eq!(load_or_create(&path).unwrap().to_bytes(), key.to_bytes());
    assert_eq!(load(&path).unwrap().to_bytes(), key.to_bytes());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(matches!(create(&path), Err(KeyError::File { .. })), "never over one that is there");
    assert_eq!(load(&path).unwrap().to_bytes(), key.to_bytes());
    let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["key"], "no draft is left");

    let other = load_or_create(&directory.path().join("other")).unwrap();
    assert_ne!(other.to_bytes(), key.to_bytes());
    assert_ne!(key.to_bytes(), [0; 32]);
}

#[test]
fn those_who_make_it_at_once_get_the_same_key() {
    let directory = Directory::new();
    let path = directory.path().join("key");
    let threads: Vec<_> = (0..16)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || load_or_create(&path).unwrap().to_bytes())
        })
        .collect();
    let keys: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(keys.iter().all(|key| *key == keys[0]));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_key_that_others_can_get_at_is_refused() {
    let directory = Directory::new();
    let path = directory.path().join("key");
    create(&path).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666, 0o777] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = load_or_create(&path).unwrap_err();
        assert!(matches!(error, KeyError::Exposed { mode: found, .. } if found == mode), "{error}");
        // also by another name
        let link = directory.path().join(format!("link-{mode:o}"));
        symlink(&path, &link).unwrap();
        assert!(matches!(load(&link), Err(KeyError::Exposed { .. })));
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        load(&path).unwrap();
    }
}

#[test]
fn what_is_no_key_is_refused_and_left_alone() {
    let directory = Directory::new();
    let path = directory.path().join("key");
    create(&path).unwrap();
    let sound = fs::read_to_string(&path).unwrap();
    let cases = [
        String::new(),
        sound.trim_end().to_owned(),
        sound.clone() + "\n",
        sound.repeat(2),
        sound.replace("leafwall-key-1", "leafwall-key-2"),
        sound.replacen(&sound[20..21], "é", 1),
        sound[..40].to_owned() + "\n",
        format!("leafwall-key-1 {}\n", "A".repeat(64)),
        format!("leafwall-key-1 {}\n", "+1".repeat(32)),
    ];
    for case in cases {
        fs::write(&path, &case).unwrap();
        let error = load_or_create(&path).unwrap_err();
        assert!(matches!(error, KeyError::NoKey(_)), "{case:?}: {error}");
        assert!(case.get(20..40).is_none_or(|part| !error.to_string().contains(part)), "a message does not tell the key");
        assert_eq!(fs::read_to_string(&path).unwrap(), case);
    }
    fs::write(&path, [0xff; 79]).unwrap();
    assert!(matches!(load(&path), Err(KeyError::NoKey(_))));
    assert!(matches!(load(directory.path()), Err(KeyError::NoFile(_))));
    assert!(matches!(create(&directory.path().join("nowhere/key")), Err(KeyError::File { action: "make", .. })));
}
