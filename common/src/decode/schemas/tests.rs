mod avro;
mod proto;
