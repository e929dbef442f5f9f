//! The folders of `src` import each other only as the table in `docs/architecture.md` allows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rows of the table: what each room may import.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let page = include_str!("../../docs/architecture.md");
    let (_, rows) = page.split_once("| room | purpose | may import |").expect("the page has the table");
    let rows = rows.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [room, _, imports] = cells[..] else { panic!("a row has three cells: {row}") };
        let imports = imports.split(", ").filter(|import| *import != "–");
        (room.trim_matches('`').into(), imports.map(String::from).collect())
    })
    .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.into_iter().chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}

/// The rooms that a file imports, and the names that it imports from the crate's root. Its tests do not count.
fn imports(source: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let code: Vec<_> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let names = code.split("crate::").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        Some(rest[..end].to_owned())
    });
    names.partition(|name| name.starts_with(|c: char| c.is_lowercase()))
}

#[test]
fn rooms_import_what_the_table_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let table = table();
    assert_eq!(table.len(), 12, "{table:?}");
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in sources(&root) {
        let file = path.strip_prefix(&root).unwrap();
        let first = file.iter().next().unwrap().to_string_lossy().into_owned();
        let room = first.strip_suffix(".rs").unwrap_or(&first).to_owned();
        let is_test_code = ["fake.rs", "testing.rs"].iter().any(|name| file.ends_with(name));
        if ["lib", "tests"].contains(&&*room) || is_test_code {
            continue;
        }
        let (mut rooms, from_root) = imports(&fs::read_to_string(&path).unwrap());
        rooms.remove(&room);
        assert!(from_root.is_empty(), "{}: names the crate's root for {from_root:?}", file.display());
        let allowed = table.get(&room).unwrap_or_else(|| panic!("{room} is not in the table"));
        let forbidden: Vec<_> = rooms.difference(allowed).collect();
        assert!(forbidden.is_empty(), "{}: {room} may not import {forbidden:?}", file.display());
        used.entry(room).or_default().extend(rooms);
    }
    for (room, allowed) in &table {
        let used = used.get(room).cloned().unwrap_or_default();
        let unused: Vec<_> = allowed.difference(&used).collect();
        assert!(unused.is_empty(), "{room} does not import {unused:?}, which the table allows");
    }
}

// A room's row names rows above it only, so the graph of rooms has no cycle.
#[test]
fn no_room_imports_a_room_below_it() {
    let page = include_str!("../../docs/architecture.md");
    let table = table();
    let place = |room: &str| page.find(&format!("| `{room}` |")).unwrap();
    for (room, imports) in &table {
        for import in imports {
            assert!(place(import) < place(room), "{room} imports {import}");
        }
    }
}

#[test]
fn the_page_has_the_ranks_of_the_locks() {
    let page = include_str!("../../docs/architecture.md");
    for (name, rank) in crate::sync::rank::TABLE {
        assert!(page.contains(&format!("| {rank} | `{name}` |")), "{name}");
    }
}

#[test]
#[cfg(all(debug_assertions, not(loom)))]
#[should_panic(expected = "a lock of rank 0 is taken while those of [2] are held")]
fn locks_are_taken_in_order() {
    use crate::sync::{Mutex, RwLock, rank};

    let (leaf, registry) = (Mutex::<rank::Leaf, ()>::default(), RwLock::<rank::Registry, ()>::default());
    drop((registry.read(), leaf.lock()));
    let _held = leaf.lock();
    let _registry = registry.read();
}
