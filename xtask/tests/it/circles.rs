//! Which files of a crate take names from each other: none in a ring, so that each can be read
//! with what stands below it alone.
//!
//! Words are read, not Rust: a name that a macro makes up is not seen. A name that is taken through
//! a `pub use` is taken from the file where it is defined.

use crate::{CRATES, rust_files, workspace};
use std::collections::{BTreeMap, BTreeSet};

/// A module's path from the crate's root, which is empty.
type Module = Vec<String>;

/// What one file names.
#[derive(Default)]
struct File {
    /// Modules of files of their own (`mod name;`).
    children: BTreeSet<String>,
    /// What its `use` lines take, by the name that it has here.
    imports: BTreeMap<String, Vec<String>>,
    /// Those of them that others can take from here.
    reexports: BTreeMap<String, Vec<String>>,
    /// Each path that it names anywhere.
    paths: Vec<Vec<String>>,
}

impl File {
    fn read(text: &str) -> Self {
        let words = words(text);
        let mut file = Self::default();
        let mut at = 0;
        while at < words.len() {
            match &words[at..] {
                // Tests stand at a file's end, and may know everything.
                ["#", "[", "cfg", "(", "test", ")", "]", "mod", _, "{", ..] => break,
                ["mod", name, ";", ..] => {
                    file.children.insert((*name).to_owned());
                    at += 3;
                }
                ["use", next, ..] if *next != "<" => {
                    let is_public = at > 0 && ["pub", ")"].contains(&words[at - 1]);
                    at += 1;
                    file.take_tree(&words, &mut at, &[], is_public);
                }
                [first, "::", ..] if is_name(first) => {
                    let mut path = vec![(*first).to_owned()];
                    at += 1;
                    while let ["::", next, ..] = &words[at..] {
                        if !is_name(next) {
                            break;
                        }
                        path.push((*next).to_owned());
                        at += 2;
                    }
                    // A turbofish, or what stands behind a generic type.
                    at += usize::from(words.get(at) == Some(&"::"));
                    file.paths.push(path);
                }
                _ => at += 1,
            }
        }
        file
    }

    /// One branch of a `use` and what hangs on it, up to the comma, brace or semicolon behind.
    fn take_tree(&mut self, words: &[&str], at: &mut usize, trunk: &[String], is_public: bool) {
        let mut path = trunk.to_vec();
        while let Some(word) = words.get(*at) {
            match *word {
                "{" => {
                    while words.get(*at).is_some_and(|word| ["{", ","].contains(word)) {
                        *at += 1;
                        self.take_tree(words, at, &path, is_public);
                    }
                    *at += 1;
                    return;
                }
                "," | "}" | ";" | "as" => break,
                "::" => *at += 1,
                name => {
                    path.push(name.to_owned());
                    *at += 1;
                }
            }
        }
        // Behind a last comma stands nothing.
        if path.len() == trunk.len() {
            return;
        }
        if path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let Some(mut name) = path.last().cloned() else { return };
        if let Some(["as", alias]) = words.get(*at..*at + 2) {
            name = (*alias).to_owned();
            *at += 2;
        }
        if is_public {
            self.reexports.insert(name.clone(), path.clone());
        }
        self.imports.insert(name, path.clone());
        self.paths.push(path);
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

/// Names and signs, without comments, strings and characters.
fn words(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let (mut words, mut at) = (Vec::new(), 0);
    let behind = |from: usize, what: &str| {
        text[from..].find(what).map_or(text.len(), |found| from + found + what.len())
    };
    while at < bytes.len() {
        let rest = &text[at..];
        let name = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        let length = name.count();
        if rest.starts_with("//") {
            at = behind(at, "\n");
        } else if rest.starts_with("/*") {
            at = behind(at, "*/");
        } else if ["r\"", "r#", "br\"", "br#"].iter().any(|start| rest.starts_with(start)) {
            let hashes = rest.bytes().skip_while(|byte| *byte != b'#' && *byte != b'"');
            let hashes = "#".repeat(hashes.take_while(|byte| *byte == b'#').count());
            at = behind(behind(at, "\""), &format!("\"{hashes}"));
        } else if rest.starts_with('"') {
            at += 1;
            while at < bytes.len() && bytes[at] != b'"' {
                at += 1 + usize::from(bytes[at] == b'\\');
            }
            at += 1;
        } else if rest.starts_with("'\\") {
            at = behind(at + 3, "'");
        } else if rest.starts_with('\'') {
            // A character; else a lifetime, whose name says nothing here.
            let second = rest.char_indices().nth(2).filter(|(_, quote)| *quote == '\'');
            at += second.map_or(1, |(quote, _)| quote + 1);
        } else if length > 0 {
            words.push(&rest[..length]);
            at += length;
        } else {
            let one = rest.chars().next().map_or(1, char::len_utf8);
            let sign = &rest[..if rest.starts_with("::") { 2 } else { one }];
            words.extend(Some(sign).filter(|sign| !sign.trim().is_empty()));
            at += sign.len();
        }
    }
    words
}

/// Where a path that a module names leads: the file, and the first name in it.
fn lead(
    files: &BTreeMap<Module, File>,
    from: &Module,
    path: &[String],
) -> Option<(Module, Option<String>)> {
    let mut module = from.clone();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => module.clear(),
        "self" => {}
        "super" => {
            while let [first, behind @ ..] = rest
                && first == "super"
            {
                module.pop()?;
                rest = behind;
            }
        }
        child if files[from].children.contains(child) => {}
        _ => return None,
    }
    if ["crate", "self"].contains(&path[0].as_str()) {
        rest = &path[1..];
    }
    while let [child, behind @ ..] = rest {
        module.push(child.clone());
        if !files.contains_key(&module) {
            module.pop();
            break;
        }
        rest = behind;
    }
    let name = rest.first().cloned();
    let further = name.as_ref().and_then(|name| files[&module].reexports.get(name));
    match further.and_then(|path| lead(files, &module, path)) {
        Some(defined) if defined.0 != module => Some(defined),
        _ => Some((module, name)),
    }
}

/// From which files each file takes which names.
type Arrows = BTreeMap<Module, BTreeMap<Module, BTreeSet<String>>>;

fn arrows(files: &BTreeMap<Module, File>) -> Arrows {
    let mut arrows = Arrows::new();
    for (from, file) in files {
        for path in &file.paths {
            let whole = file.imports.get(&path[0]).filter(|import| **import != *path);
            let path = match whole {
                Some(import) => [import.as_slice(), &path[1..]].concat(),
                None => path.clone(),
            };
            if let Some((to, name)) = lead(files, from, &path).filter(|(to, _)| to != from) {
                let names = arrows.entry(from.clone()).or_default().entry(to).or_default();
                names.extend(name);
            }
        }
    }
    arrows
}

fn reaches(arrows: &Arrows, from: &Module, to: &Module) -> bool {
    let (mut seen, mut open) = (BTreeSet::from([from]), vec![from]);
    while let Some(module) = open.pop() {
        for next in arrows.get(module).into_iter().flat_map(BTreeMap::keys) {
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    from != to && seen.contains(to)
}

/// Each arrow of a ring, with the names that are taken.
fn in_circles(files: &BTreeMap<Module, File>) -> Vec<String> {
    let arrows = arrows(files);
    let all = arrows.iter().flat_map(|(from, taken)| taken.iter().map(move |to| (from, to)));
    all.filter(|(from, (to, _))| reaches(&arrows, to, from))
        .map(|(from, (to, names))| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            format!("{} takes {} of {}", from.join("/"), names.join(", "), to.join("/"))
        })
        .collect()
}

/// The files of a crate, but for its `main.rs` beside a `lib.rs`, from which nobody can take.
fn files(name: &str) -> BTreeMap<Module, File> {
    let folder = workspace().join(name).join("src");
    let mut files = BTreeMap::new();
    for (path, text) in rust_files(&folder) {
        let module = path.strip_prefix(&folder).unwrap().with_extension("");
        let mut module: Module =
            module.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        if module.iter().any(|part| part == "tests") {
            continue;
        }
        if module == ["lib"] || (module == ["main"] && !folder.join("lib.rs").exists()) {
            module.clear();
        }
        files.insert(module, File::read(&text));
    }
    files
}

#[test]
fn no_files_take_names_from_each_other_in_a_ring() {
    let mut rings = Vec::new();
    for name in CRATES {
        let files = files(name);
        assert!(files.contains_key(&Module::new()), "{name} has no root");
        rings.extend(in_circles(&files).into_iter().map(|arrow| format!("{name}: {arrow}")));
    }
    assert_eq!(rings, Vec::<String>::new());
}

fn crate_of(files: &[(&str, &str)]) -> BTreeMap<Module, File> {
    let module = |path: &str| -> Module {
        path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    files.iter().map(|(path, text)| (module(path), File::read(text))).collect()
}

#[test]
fn a_ring_is_found_through_parents_reexports_aliases_and_paths() {
    for (there, back) in [
        ("use crate::b::B;", "use super::a::A;"),
        ("fn f() { crate::b::g::<u8>() }", "use crate::{d::{Y, Z}, a::{self as other, A}};"),
        ("use crate::b; fn f(b: b::B) {}", "fn f() -> crate::a::A { 'x'; \"crate::c\" }"),
        ("use crate::Public;", "use crate::a::A;"),
    ] {
        let root = "mod a; mod b; mod c; mod d; pub use b::B as Public;";
        let files = crate_of(&[
            ("", root),
            ("a", there),
            ("b", back),
            ("c", "use crate::a::A;"),
            ("d", ""),
        ]);
        let found = in_circles(&files);
        assert_eq!(found.len(), 2, "{there} {back}: {found:?}");
        assert!(found.iter().all(|arrow| !arrow.contains(" c")), "{found:?}");
    }
    let parent = crate_of(&[("", "mod a; use a::A; struct B;"), ("a", "use super::B;")]);
    assert_eq!(in_circles(&parent), [" takes A of a", "a takes B of "]);
}

#[test]
fn strings_comments_tests_and_modules_alone_make_no_ring() {
    let root = "mod a; // a::A\n const T: &str = \"a::A\"; const R: &str = r#\"\"a::A\"#;\n /* a::A */ \
                fn f<'a>(c: &'a u8) { let c = '\\''; let d = '\"'; }\n #[cfg(test)]\nmod tests { use super::a::A; }";
    let files = crate_of(&[("", root), ("a", "use super::f; use std::fmt; use serde::a::A;")]);
    assert_eq!(in_circles(&files), Vec::<String>::new());
}
