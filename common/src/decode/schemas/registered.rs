//! [`SchemaText`]: a schema as a registry keeps it.

/// How a schema is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaKind {
    /// Avro's binary encoding.
    Avro,
    /// The text is that of a `.proto` file.
    Protobuf,
    /// Its values are JSON behind the header.
    Json,
}

/// A schema as a registry keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaText {
    /// What kind of schema it is.
    pub kind: SchemaKind,
    /// As the registry has it.
    pub text: String,
    /// The texts of the schemas that it refers to, each behind those that it needs itself.
    pub references: Vec<Reference>,
}

/// A schema that another one refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// What the schema calls it.
    pub name: String,
    /// As the registry has it.
    pub text: String,
}
