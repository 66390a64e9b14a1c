//! Every input that is kept is given to its target once more: seeds, and cases that once broke a
//! rule.
#![allow(clippy::unwrap_used)]

use std::path::Path;

#[test]
fn every_kept_input_is_harmless() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for (name, run) in baton_fuzz::TARGETS {
        run(&[]);
        for folder in ["corpus", "regressions"] {
            let Ok(entries) = std::fs::read_dir(here.join(folder).join(name)) else {
                continue;
            };
            for entry in entries {
                let path = entry.unwrap().path();
                println!("{}", path.display());
                run(&std::fs::read(path).unwrap());
                count += 1;
            }
        }
        assert!(
            here.join("corpus").join(name).is_dir(),
            "{name} has no seed"
        );
    }
    assert!(count > 0);
}
