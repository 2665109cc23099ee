//! The text of a Protobuf schema as types.

use super::google::{self, WellKnown};
use super::schema::{Field, Kind, Schema, Shape, Top, Type, TypeId};
use crate::decode::schemas::json::write_text;
use crate::decode::schemas::registered::SchemaText;
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use protox::prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, Kind as Described, MessageDescriptor,
};
use rustc_hash::FxHashMap;
use std::collections::HashMap;

/// The name of the schema itself, which no reference has.
const ROOT: &str = "the-schema-itself.proto";

/// Files that Confluent's own serializers know without a reference.
const KNOWN: [(&str, &str); 2] = [
    ("confluent/meta.proto", include_str!("confluent/meta.proto")),
    ("confluent/type/decimal.proto", include_str!("confluent/decimal.proto")),
];

/// How many messages may hold one another: each takes its part of the thread's stack while the
/// schema is read.
const MAX_CHAIN: usize = 500;

/// # Errors
/// If the text is no Protobuf schema.
pub fn parse(text: &SchemaText, is_wanted: &dyn Fn(&str) -> bool) -> Result<Schema, String> {
    let file = compiled(text)?;
    let file = file.get_file_by_name(ROOT).ok_or("it is not found")?;
    let mut parser = Parser {
        types: Vec::new(),
        enums: Vec::new(),
        known: HashMap::new(),
        enums_known: HashMap::new(),
        depth: 0,
        is_too_deep: false,
        is_wanted,
    };
    let tops = file.messages().map(|message| parser.top(&message)).collect();
    if parser.is_too_deep {
        return Err(format!("its messages hold one another more than {MAX_CHAIN} deep"));
    }
    Ok(Schema { types: parser.types, enums: parser.enums, tops })
}

/// Compiles the texts of a schema.
///
/// # Errors
/// If the text is no schema, or refers to one that is missing.
pub fn compiled(text: &SchemaText) -> Result<DescriptorPool, String> {
    let known = KNOWN.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let google = google::TYPES.iter().map(|(name, text)| {
        ((*name).to_owned(), format!("syntax = \"proto3\"; package google.type; {text}"))
    });
    let mut sources: HashMap<String, String> = known.chain(google).collect();
    sources.extend(
        text.references.iter().map(|reference| (reference.name.clone(), reference.text.clone())),
    );
    sources.insert(ROOT.to_owned(), text.text.clone());
    let mut resolver = ChainFileResolver::new();
    resolver.add(Sources(sources));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    compiler.open_file(ROOT).map_err(|error| error.to_string())?;
    Ok(compiler.descriptor_pool())
}

struct Sources(HashMap<String, String>);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.get(name) {
            Some(text) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

struct Parser<'w> {
    types: Vec<Type>,
    enums: Vec<FxHashMap<i32, Box<[u8]>>>,
    known: HashMap<String, TypeId>,
    enums_known: HashMap<String, usize>,
    /// Messages that the one being read is held by.
    depth: usize,
    is_too_deep: bool,
    is_wanted: &'w dyn Fn(&str) -> bool,
}

impl Parser<'_> {
    fn top(&mut self, message: &MessageDescriptor) -> Top {
        let id = self.message(message);
        // The entries of maps have types as well, which Java's producers do not count.
        let nested = message.child_messages().filter(|nested| !nested.is_map_entry());
        Top { id, nested: nested.map(|nested| self.top(&nested)).collect() }
    }

    fn message(&mut self, message: &MessageDescriptor) -> TypeId {
        let name = message.full_name();
        if let Some(known) = self.known.get(name) {
            return *known;
        }
        let id = self.types.len();
        if self.depth >= MAX_CHAIN {
            self.is_too_deep = true;
            return id;
        }
        self.depth += 1;
        self.known.insert(name.to_owned(), id);
        // It may hold itself, so it is known before its fields are.
        self.types.push(Type::Message(Vec::new()));
        self.types[id] = match name {
            "confluent.type.Decimal" => Type::Decimal,
            name if is_wrapper(name) => match message.get_field(1) {
                Some(field) => Type::Wrapper(self.kind(&field)),
                None => Type::Message(Vec::new()),
            },
            name => match WellKnown::of_name(name) {
                Some(known) => Type::Google(known),
                None => Type::Message(self.fields(message)),
            },
        };
        self.depth -= 1;
        id
    }

    fn fields(&mut self, message: &MessageDescriptor) -> Vec<Field> {
        message.fields().filter_map(|field| self.field(&field, message.is_map_entry())).collect()
    }

    /// `None` for a group.
    fn field(&mut self, field: &FieldDescriptor, is_entry: bool) -> Option<Field> {
        if field.is_group() {
            return None;
        }
        let kind = self.kind(field);
        let is_wanted = is_entry
            || (self.is_wanted)(field.name())
            || matches!(field.kind(), Described::Message(_));
        let mut literal = Vec::new();
        write_text(&mut literal, field.name().as_bytes());
        literal.push(b':');
        let shape = if field.is_map() {
            Shape::Map
        } else if field.is_list() {
            Shape::Repeated
        } else if field.supports_presence() && !is_entry {
            Shape::Optional
        } else {
            Shape::Plain
        };
        let (number, literal) = (field.number(), literal.into());
        Some(Field { number, literal, is_wanted, kind, shape, oneof: oneof_of(field) })
    }

    fn kind(&mut self, field: &FieldDescriptor) -> Kind {
        match field.kind() {
            Described::Double => Kind::Double,
            Described::Float => Kind::Float,
            Described::Int32 => Kind::Int32,
            Described::Int64 => Kind::Int64,
            Described::Uint32 => Kind::Uint32,
            Described::Uint64 => Kind::Uint64,
            Described::Sint32 => Kind::Sint32,
            Described::Sint64 => Kind::Sint64,
            Described::Fixed32 => Kind::Fixed32,
            Described::Fixed64 => Kind::Fixed64,
            Described::Sfixed32 => Kind::Sfixed32,
            Described::Sfixed64 => Kind::Sfixed64,
            Described::Bool => Kind::Bool,
            Described::String => Kind::Text,
            Described::Bytes => Kind::Bytes,
            Described::Enum(described) => Kind::Enum(self.names(&described)),
            Described::Message(message) => Kind::Message(self.message(&message)),
        }
    }

    fn names(&mut self, described: &EnumDescriptor) -> usize {
        if let Some(known) = self.enums_known.get(described.full_name()) {
            return *known;
        }
        let mut names = FxHashMap::default();
        for value in described.values() {
            // The first of several names for one number counts.
            names.entry(value.number()).or_insert_with(|| {
                let mut quoted = Vec::new();
                write_text(&mut quoted, value.name().as_bytes());
                quoted.into()
            });
        }
        self.enums.push(names);
        self.enums_known.insert(described.full_name().to_owned(), self.enums.len() - 1);
        self.enums.len() - 1
    }
}

/// The place of the `oneof` that the field shares with others.
fn oneof_of(field: &FieldDescriptor) -> Option<usize> {
    let oneof = field.containing_oneof().filter(|oneof| oneof.fields().len() > 1)?;
    field.parent_message().oneofs().position(|other| other == oneof)
}

fn is_wrapper(name: &str) -> bool {
    const OF: [&str; 9] =
        ["Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes"];
    let inner = name.strip_prefix("google.protobuf.").and_then(|name| name.strip_suffix("Value"));
    inner.is_some_and(|inner| OF.contains(&inner))
}
