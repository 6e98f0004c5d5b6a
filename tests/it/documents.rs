//! The documents name files that exist.

use std::path::Path;

#[test]
fn every_file_that_architecture_md_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let folders = [
        "shared/", "ingress/", "worker/", "sandbox/", "cli/", "tests/", "scripts/", "docs/",
    ];
    let named: Vec<_> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| folders.iter().any(|folder| name.starts_with(folder)))
        .collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        assert!(
            root.join(name).exists(),
            "{name} is named in ARCHITECTURE.md, but is not there"
        );
    }
}
