//! A new file in migrations/ changes no source of this crate, so cargo must be told to look.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
