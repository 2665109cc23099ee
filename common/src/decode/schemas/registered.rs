//! [`SchemaText`]: a schema as a registry keeps it.

/// How a schema is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaKind {
    /// Avro's binary encoding.
    Avro,
    /// The text is that of a `.proto` file.
    Protobuf,
    /// Its values are JSON after the header.
    Json,
}

/// A schema as a registry keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaText {
    /// The kind of schema.
    pub kind: SchemaKind,
    /// As the registry has it.
    pub text: String,
    /// The texts of the schemas that it refers to, each after those that it needs itself.
    pub references: Vec<Reference>,
}

/// A schema that another one refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The name that the schema gives it.
    pub name: String,
    /// As the registry has it.
    pub text: String,
}
