//! Values of Avro and Protobuf, by their schemas.

mod avro;
mod proto;
