//! The documents name files that exist.

use std::collections::BTreeSet;

use stormhook_shared::domain::outcome::{Code, Status};
use stormhook_tests::project;

#[test]
fn the_web_page_knows_every_code() {
    let read = |name: &str| std::fs::read_to_string(project::path(name)).unwrap();
    let verdicts = read("docs/verdicts.md");
    let rows = verdicts.lines().filter_map(|line| {
        let mut cells = line.split('|').skip(1).map(str::trim);
        let status: Status = cells.next()?.parse().ok()?;
        Some((status, cells.next()?))
    });
    let documented: BTreeSet<(Status, String)> = rows
        .flat_map(|(status, codes)| {
            let codes = codes.split('`').skip(1).step_by(2);
            codes.map(move |code| (status, code.to_owned()))
        })
        .collect();
    assert!(documented.len() > 30, "{documented:?}");
    let words = read("ingress/web/words.js");
    let (_, codes) = words.split_once("CODES = {").unwrap();
    let (codes, _) = codes.split_once("};").unwrap();
    let offered: BTreeSet<_> = codes
        .lines()
        .filter_map(|line| {
            let (status, codes) = line.trim().split_once(": ")?;
            let status: Status = status.parse().unwrap();
            let codes = codes.split('"').skip(1).step_by(2);
            Some(codes.map(move |code| (status, code.to_owned())))
        })
        .flatten()
        .collect();
    assert_eq!(offered, documented);
    for (status, code) in offered {
        let code: Code = code.parse().unwrap();
        assert_eq!(code.status(), status, "{code}");
    }
}

#[test]
fn every_file_that_architecture_md_names_is_there() {
    let root = project::path("");
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
