//! Any text gives links or an error; what is read is printed, and read again as the same.
#![no_main]

use leafwall_render::links::Links;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(links) = Links::parse(text) {
        assert_eq!(Links::parse(&links.print().unwrap()).unwrap(), links);
    }
});
