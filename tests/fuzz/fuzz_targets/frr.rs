//! Any text gives a configuration or faults with places inside it; what is read is printed, and read again as the same.
#![no_main]

use leafwall_render::frr::FrrConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| match FrrConfig::parse(text) {
    Ok(config) => {
        let printed = config.print().unwrap();
        let mut again = FrrConfig::parse(&printed).unwrap_or_else(|faults| panic!("{faults}\n{printed}"));
        assert_eq!(config.statements().unwrap(), again.statements().unwrap());
        // what is printed is in the printer's own order: nothing moves a second time
        assert_eq!(again.print().unwrap(), printed);
        again.sort();
    }
    Err(faults) => {
        assert!(!faults.0.is_empty());
        for fault in &faults.0 {
            let line = text.split('\n').nth(fault.line - 1).unwrap();
            assert!(fault.column >= 1 && fault.column <= line.len() + 1, "{fault}");
        }
    }
});
