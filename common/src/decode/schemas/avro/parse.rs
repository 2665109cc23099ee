//! The text of an Avro schema as nodes.

use super::nodes::{MAX_DEPTH, Member, Node, NodeId, Schema};
use crate::decode::schemas::json::{MAX_SCALE, write_text};
use crate::decode::schemas::registered::SchemaText;
use crate::decode::schemas::times::TimeKind;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Kafka Connect's name for its own decimals.
const CONNECTS_DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";

/// # Errors
/// If the text is no Avro schema.
pub fn parse(text: &SchemaText, is_wanted: &dyn Fn(&str) -> bool) -> Result<Schema, String> {
    let mut parser = Parser { nodes: Vec::new(), named: HashMap::new(), is_wanted };
    for reference in &text.references {
        let of = |why| format!("its reference {:?}: {why}", reference.name);
        parser.parse_text(&reference.text).map_err(of)?;
    }
    let root = parser.parse_text(&text.text)?;
    Ok(Schema { nodes: parser.nodes, root })
}

struct Parser<'w> {
    nodes: Vec<Node>,
    /// Records, enums and fixed ones by their full names.
    named: HashMap<String, NodeId>,
    is_wanted: &'w dyn Fn(&str) -> bool,
}

impl Parser<'_> {
    fn parse_text(&mut self, text: &str) -> Result<NodeId, String> {
        let value = serde_json::from_str(text).map_err(|error| match error.to_string() {
            why if why.starts_with("recursion limit") => {
                format!("its text is nested deeper than {MAX_DEPTH}, as its values would be")
            }
            why => format!("it is no JSON: {why}"),
        })?;
        self.parse(&value, "")
    }

    /// `namespace`: of names without one.
    fn parse(&mut self, schema: &Value, namespace: &str) -> Result<NodeId, String> {
        match schema {
            Value::String(name) => self.by_name(name, namespace),
            Value::Array(branches) => {
                let branches = branches
                    .iter()
                    .map(|branch| self.branch(branch, namespace))
                    .collect::<Result<_, _>>()?;
                Ok(self.add(Node::Union(branches)))
            }
            Value::Object(object) => self.parse_object(object, namespace),
            other => Err(format!("{other} is no type")),
        }
    }

    /// Unions do not count for the depth of values, so none may hold another: so says the
    /// specification, too.
    fn branch(&mut self, schema: &Value, namespace: &str) -> Result<NodeId, String> {
        let branch = self.parse(schema, namespace)?;
        match &self.nodes[branch] {
            Node::Union(_) => Err("a union in a union".to_owned()),
            _ => Ok(branch),
        }
    }

    fn parse_object(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
    ) -> Result<NodeId, String> {
        let name = match object.get("type") {
            Some(Value::String(name)) => name.as_str(),
            Some(inner) => return self.parse(inner, namespace),
            None => return Err("a type without \"type\"".to_owned()),
        };
        match name {
            "record" | "error" => self.record(object, namespace),
            "enum" => {
                let symbols =
                    list(object, "symbols")?.iter().map(|symbol| symbol.as_str().map(quote));
                let symbols =
                    symbols.collect::<Option<_>>().ok_or("a symbol of an enum is no text")?;
                self.add_named(object, namespace, Node::Enum(symbols))
            }
            "fixed" => {
                let node = fixed(object)?;
                self.add_named(object, namespace, node)
            }
            "array" => {
                let items = self.parse(required(object, "items")?, namespace)?;
                Ok(self.add(Node::Array(items)))
            }
            "map" => {
                let values = self.parse(required(object, "values")?, namespace)?;
                Ok(self.add(Node::Map(values)))
            }
            name => match logical_type(name, object) {
                Some(node) => Ok(self.add(node)),
                None => self.by_name(name, namespace),
            },
        }
    }

    /// A record may hold itself, so its name is known before its members are.
    fn record(&mut self, object: &Map<String, Value>, namespace: &str) -> Result<NodeId, String> {
        let id = self.add_named(object, namespace, Node::Record(Vec::new()))?;
        let (_, namespace) = full_name(object, namespace)?;
        let mut members = Vec::new();
        for field in list(object, "fields")? {
            let field = field.as_object().ok_or("a field is no object")?;
            let name = text(field, "name")?;
            let node = self
                .parse(required(field, "type")?, &namespace)
                .map_err(|why| format!("field {name:?}: {why}"))?;
            let is_wanted = (self.is_wanted)(name) || self.may_hold_members(node);
            let mut literal = vec![b','];
            write_text(&mut literal, name.as_bytes());
            literal.push(b':');
            members.push(Member { literal: literal.into(), is_wanted, node });
        }
        self.nodes[id] = Node::Record(members);
        Ok(id)
    }

    /// Whether there may be names inside of it that somebody wants.
    fn may_hold_members(&self, id: NodeId) -> bool {
        match &self.nodes[id] {
            Node::Map(_) | Node::Record(_) => true,
            Node::Array(of) => self.may_hold_members(*of),
            Node::Union(branches) => branches.iter().any(|branch| self.may_hold_members(*branch)),
            _ => false,
        }
    }

    fn by_name(&mut self, name: &str, namespace: &str) -> Result<NodeId, String> {
        if let Some(node) = primitive(name) {
            return Ok(self.add(node));
        }
        let full = if name.contains('.') || namespace.is_empty() {
            name.to_owned()
        } else {
            format!("{namespace}.{name}")
        };
        let known = self.named.get(&full).or_else(|| self.named.get(name));
        known.copied().ok_or_else(|| format!("there is no type {name:?}"))
    }

    fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn add_named(
        &mut self,
        object: &Map<String, Value>,
        namespace: &str,
        node: Node,
    ) -> Result<NodeId, String> {
        let (name, _) = full_name(object, namespace)?;
        let id = self.add(node);
        self.named.insert(name, id);
        Ok(id)
    }
}

fn primitive(name: &str) -> Option<Node> {
    Some(match name {
        "null" => Node::Null,
        "boolean" => Node::Boolean,
        "int" => Node::Int,
        "long" => Node::Long,
        "float" => Node::Float,
        "double" => Node::Double,
        "bytes" => Node::Bytes,
        "string" => Node::Text,
        _ => return None,
    })
}

/// A primitive type that means something else. A logical type that is not known, or does not fit,
/// is passed over, as the specification asks for.
fn logical_type(name: &str, object: &Map<String, Value>) -> Option<Node> {
    let logical = object.get("logicalType")?.as_str()?;
    if let Some(kind) = TimeKind::of_name(logical) {
        return (name == if kind.is_int() { "int" } else { "long" }).then_some(Node::Time(kind));
    }
    match (name, logical) {
        ("bytes", "decimal") => Some(Node::Decimal { size: None, scale: read_scale(object)? }),
        _ => None,
    }
}

fn fixed(object: &Map<String, Value>) -> Result<Node, String> {
    let size = required(object, "size")?.as_u64().and_then(|size| usize::try_from(size).ok());
    let size = size.ok_or("the size of a fixed type is no number")?;
    Ok(match (object.get("logicalType").and_then(Value::as_str), read_scale(object)) {
        (Some("decimal"), Some(scale)) => Node::Decimal { size: Some(size), scale },
        (Some("uuid"), _) if size == 16 => Node::Uuid,
        _ => Node::Fixed(size),
    })
}

/// `None` where it is none that a decimal may have. Avro allows none above the precision; but
/// Connect's converter writes Oracle's `NUMBER` with 127 and 64, and reads it back.
fn read_scale(object: &Map<String, Value>) -> Option<u32> {
    let scale = match object.get("scale") {
        None => 0,
        Some(scale) => scale.as_u64()?,
    };
    let precision = object.get("precision").and_then(Value::as_u64);
    let is_allowed = precision.is_none_or(|precision| scale <= precision)
        || object.get("connect.name").and_then(Value::as_str) == Some(CONNECTS_DECIMAL);
    u32::try_from(scale).ok().filter(|scale| *scale <= MAX_SCALE && is_allowed)
}

/// The name with its namespace, and the namespace of the types inside.
fn full_name(object: &Map<String, Value>, outer: &str) -> Result<(String, String), String> {
    let name = text(object, "name")?;
    if let Some((namespace, _)) = name.rsplit_once('.') {
        return Ok((name.to_owned(), namespace.to_owned()));
    }
    let namespace = object.get("namespace").and_then(Value::as_str).unwrap_or(outer);
    let full = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") };
    Ok((full, namespace.to_owned()))
}

fn quote(symbol: &str) -> Box<[u8]> {
    let mut quoted = Vec::new();
    write_text(&mut quoted, symbol.as_bytes());
    quoted.into()
}

fn required<'v>(object: &'v Map<String, Value>, name: &str) -> Result<&'v Value, String> {
    object.get(name).ok_or_else(|| format!("a type without {name:?}"))
}

fn text<'v>(object: &'v Map<String, Value>, name: &str) -> Result<&'v str, String> {
    required(object, name)?.as_str().ok_or_else(|| format!("{name:?} is no text"))
}

fn list<'v>(object: &'v Map<String, Value>, name: &str) -> Result<&'v Vec<Value>, String> {
    required(object, name)?.as_array().ok_or_else(|| format!("{name:?} is no array"))
}
