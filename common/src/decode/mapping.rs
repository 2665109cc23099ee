//! [`Mapping`]: the names of a tick's fields in a message.

mod condition;
mod defaults;
mod field;
mod path;
mod preset;

pub use condition::{Condition, Conditions};
pub use defaults::usual_field;
pub use field::Field;
pub use path::{MapEntries, Path};
pub use preset::Preset;

pub(super) use defaults::default_field;

/// The paths of each field. A field that was mapped is there and nowhere else; any other under its
/// own name or, where that is absent, under one of those that many producers use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The fields, in the order of [`Field::ALL`]; the first of several paths that leads somewhere
    /// counts.
    paths: [Vec<Path>; Field::ALL.len()],
    root: Node,
}

/// A step of paths that have their names up to here in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Node {
    members: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    name: Box<str>,
    /// The fields whose paths end here, and which of their paths these are.
    pub ends: Vec<(Field, u8)>,
    pub below: Node,
}

impl Default for Mapping {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl Mapping {
    /// A mapping of some fields, each to the paths given for it in `entries`.
    #[must_use]
    pub fn new(entries: &[(Field, Path)]) -> Self {
        let paths = Field::ALL.map(|field| {
            entries
                .iter()
                .filter(|(mapped, _)| *mapped == field)
                .map(|(_, path)| path.clone())
                .collect::<Vec<_>>()
        });
        let mut root = Node::default();
        for (field, paths) in Field::ALL.into_iter().zip(&paths) {
            for (rank, path) in (0..=u8::MAX).zip(paths) {
                root.add(path.names(), (field, rank));
            }
        }
        Self { paths, root }
    }

    /// The paths of a field that was mapped; none for any other.
    #[must_use]
    pub fn paths(&self, field: Field) -> &[Path] {
        &self.paths[field as usize]
    }

    /// Whether the field is looked for under the usual names.
    pub(super) fn has_defaults(&self, field: Field) -> bool {
        let mut mapped = Field::ALL.into_iter().filter(|mapped| !self.paths(*mapped).is_empty());
        !field.is_mapped_alone() && !mapped.any(|mapped| mapped.excludes(field))
    }

    /// Whether a path has this name in it.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.paths.iter().flatten().flat_map(Path::names).any(|step| **step == *name)
    }

    pub(super) fn root(&self) -> &Node {
        &self.root
    }
}

impl Node {
    fn add(&mut self, names: &[Box<str>], end: (Field, u8)) {
        let Some((name, rest)) = names.split_first() else {
            return;
        };
        let at = self.members.iter().position(|member| member.name == *name).unwrap_or_else(|| {
            self.members.push(Member {
                name: name.clone(),
                ends: Vec::new(),
                below: Self::default(),
            });
            self.members.len() - 1
        });
        match rest {
            [] => self.members[at].ends.push(end),
            rest => self.members[at].below.add(rest, end),
        }
    }

    /// The mapped member of this name.
    pub(super) fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| *member.name == *name)
    }

    /// Every end of a path in it and below.
    pub(super) fn each_end(&self, take: &mut impl FnMut((Field, u8))) {
        for member in &self.members {
            member.ends.iter().for_each(|end| take(*end));
            member.below.each_end(take);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}
