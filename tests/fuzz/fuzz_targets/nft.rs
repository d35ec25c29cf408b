//! Any text gives a tree or an error that points into it, never a panic; and what was read is printed and read again as the same tree.
#![no_main]

use leafwall_policy::nft::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| match parse(text) {
    Err(error) => {
        let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
        assert!((1..=lines).contains(&(error.line as usize)) && error.column >= 1, "{error} of {lines} lines");
    }
    Ok(script) => {
        let printed = script.to_text();
        assert_eq!(parse(&printed).as_ref(), Ok(&script), "{printed}");
        for table in script.tables() {
            let unique = |names: Vec<&str>| names.iter().collect::<std::collections::BTreeSet<_>>().len() == names.len();
            if unique(table.chains.iter().map(|chain| chain.name.as_str()).collect())
                && unique(table.sets.iter().map(|set| set.name.as_str()).collect())
            {
                assert!(
                    table.differences(table).is_empty() || !unique(table.counters.iter().map(|counter| counter.name.as_str()).collect())
                );
            }
        }
    }
});
