//! The messages of Spark Connect that are sent and read, with those of their fields that are used:
//! what a server says in addition is passed over. The numbers are those of `spark/connect/*.proto`,
//! which Spark keeps stable.

use prost::Message;
use std::collections::HashMap;

#[derive(Clone, PartialEq, Message)]
pub struct UserContext {
    #[prost(string, tag = "1")]
    pub user_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Literal {
    #[prost(oneof = "literal::Kind", tags = "13")]
    pub kind: Option<literal::Kind>,
}

pub mod literal {
    use prost::Oneof;

    #[derive(Clone, PartialEq, Oneof)]
    pub enum Kind {
        #[prost(string, tag = "13")]
        Text(String),
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct Expression {
    #[prost(message, optional, tag = "1")]
    pub literal: Option<Literal>,
}

impl Expression {
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self { literal: Some(Literal { kind: Some(literal::Kind::Text(text.to_owned())) }) }
    }
}

/// A statement; its parameters are bound by the server and never spliced into it.
#[derive(Clone, PartialEq, Message)]
pub struct Sql {
    #[prost(string, tag = "1")]
    pub query: String,
    #[prost(map = "string, message", tag = "4")]
    pub named_arguments: HashMap<String, Expression>,
}

/// Files that are read.
#[derive(Clone, PartialEq, Message)]
pub struct DataSource {
    #[prost(string, optional, tag = "1")]
    pub format: Option<String>,
    #[prost(map = "string, string", tag = "3")]
    pub options: HashMap<String, String>,
    #[prost(string, repeated, tag = "4")]
    pub paths: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Read {
    #[prost(message, optional, tag = "2")]
    pub data_source: Option<DataSource>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SubqueryAlias {
    #[prost(message, optional, boxed, tag = "1")]
    pub input: Option<Box<Relation>>,
    #[prost(string, tag = "2")]
    pub alias: String,
}

/// A statement in which others stand under their names.
#[derive(Clone, PartialEq, Message)]
pub struct WithRelations {
    #[prost(message, optional, boxed, tag = "1")]
    pub root: Option<Box<Relation>>,
    #[prost(message, repeated, tag = "2")]
    pub references: Vec<Relation>,
}

#[derive(Clone, PartialEq, Message)]
pub struct RelationCommon {
    #[prost(int64, optional, tag = "2")]
    pub plan_id: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Relation {
    #[prost(message, optional, tag = "1")]
    pub common: Option<RelationCommon>,
    #[prost(oneof = "relation::Kind", tags = "2, 10, 16, 41")]
    pub kind: Option<relation::Kind>,
}

impl Relation {
    /// One that nothing refers to by a number.
    #[must_use]
    pub const fn of(kind: relation::Kind) -> Self {
        Self { common: None, kind: Some(kind) }
    }
}

pub mod relation {
    use crate::spark::messages::{Read, Sql, SubqueryAlias, WithRelations};
    use prost::Oneof;

    #[derive(Clone, PartialEq, Oneof)]
    pub enum Kind {
        #[prost(message, tag = "2")]
        Read(Read),
        #[prost(message, tag = "10")]
        Sql(Sql),
        #[prost(message, tag = "16")]
        SubqueryAlias(Box<SubqueryAlias>),
        #[prost(message, tag = "41")]
        WithRelations(Box<WithRelations>),
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct Plan {
    #[prost(message, optional, tag = "1")]
    pub root: Option<Relation>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ReattachOptions {
    #[prost(bool, tag = "1")]
    pub reattachable: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct RequestOption {
    #[prost(message, optional, tag = "1")]
    pub reattach: Option<ReattachOptions>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ExecutePlanRequest {
    #[prost(string, tag = "1")]
    pub session_id: String,
    #[prost(message, optional, tag = "2")]
    pub user_context: Option<UserContext>,
    #[prost(message, optional, tag = "3")]
    pub plan: Option<Plan>,
    #[prost(string, optional, tag = "4")]
    pub client_type: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub request_options: Vec<RequestOption>,
    #[prost(string, optional, tag = "6")]
    pub operation_id: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ReattachExecuteRequest {
    #[prost(string, tag = "1")]
    pub session_id: String,
    #[prost(message, optional, tag = "2")]
    pub user_context: Option<UserContext>,
    #[prost(string, tag = "3")]
    pub operation_id: String,
    #[prost(string, optional, tag = "5")]
    pub last_response_id: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Nothing {}

/// The server need keep nothing of an operation any more.
#[derive(Clone, PartialEq, Message)]
pub struct ReleaseExecuteRequest {
    #[prost(string, tag = "1")]
    pub session_id: String,
    #[prost(message, optional, tag = "2")]
    pub user_context: Option<UserContext>,
    #[prost(string, tag = "3")]
    pub operation_id: String,
    #[prost(message, optional, tag = "5")]
    pub release_all: Option<Nothing>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ReleaseSessionRequest {
    #[prost(string, tag = "1")]
    pub session_id: String,
    #[prost(message, optional, tag = "2")]
    pub user_context: Option<UserContext>,
}

/// `kind` of an [`InterruptRequest`] for one operation.
pub const ONE_OPERATION: i32 = 3;

#[derive(Clone, PartialEq, Message)]
pub struct InterruptRequest {
    #[prost(string, tag = "1")]
    pub session_id: String,
    #[prost(message, optional, tag = "2")]
    pub user_context: Option<UserContext>,
    #[prost(int32, tag = "4")]
    pub kind: i32,
    #[prost(string, optional, tag = "6")]
    pub operation_id: Option<String>,
}

/// A part of the result: a whole stream of Arrow's IPC format.
#[derive(Clone, PartialEq, Message)]
pub struct ArrowBatch {
    #[prost(int64, tag = "1")]
    pub row_count: i64,
    #[prost(bytes = "vec", tag = "2")]
    pub data: Vec<u8>,
    /// Where in the result it begins, if the server says so.
    #[prost(int64, optional, tag = "3")]
    pub start_offset: Option<i64>,
    /// Into how many pieces the server has cut it; it does so only if it is asked.
    #[prost(int64, optional, tag = "5")]
    pub chunks: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ExecutePlanResponse {
    #[prost(message, optional, tag = "2")]
    pub arrow_batch: Option<ArrowBatch>,
    #[prost(string, tag = "13")]
    pub response_id: String,
    /// The last of all responses has it, and without it no result is whole.
    #[prost(message, optional, tag = "14")]
    pub result_complete: Option<Nothing>,
}
