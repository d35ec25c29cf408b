//! Any text is a certificate or an error; what is read and printed is read again as the same, and agrees with itself.
#![no_main]

use leafwall_proof::Certificate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(certificate) = Certificate::parse(text) {
        let again = Certificate::parse(&serde_json::to_string(&certificate).unwrap()).unwrap();
        assert_eq!(again, certificate);
        assert!(again.untruths(&certificate).is_empty());
        let _ = certificate.strangers(&Default::default());
    }
});
