//! PostgreSQL: connecting, the migrations, and exact numbers and instants on the wire.

pub mod bars;
mod connecting;
mod database;
mod errors;
mod limits;
mod migrations;
mod nodelay;
pub mod numeric;
mod pooling;
mod query;
mod statement;
mod target;
mod timestamptz;
mod waiting;
pub mod within;

pub use database::{Database, Migrations};
pub use errors::describe;
pub use limits::Limits;
pub use migrations::MIGRATOR;
pub use pooling::has_a_session;
pub use query::{query, query_as, query_as_with, query_scalar, query_scalar_with, query_with};
pub use statement::{NoAnswer, Statement, begin_snapshot, end_snapshot, in_time};
pub use timestamptz::Timestamptz;
pub use waiting::{Waiting, watched};

/// Makes a struct of named columns a row. Not by sqlx's derive, which would have all of sqlx
/// compiled twice: once for the compiler.
#[macro_export]
macro_rules! row {
    ($row:ident { $($column:ident),+ $(,)? }) => {
        impl<'r> ::sqlx::FromRow<'r, ::sqlx::postgres::PgRow> for $row {
            fn from_row(row: &'r ::sqlx::postgres::PgRow) -> ::sqlx::Result<Self> {
                Ok(Self { $($column: ::sqlx::Row::try_get(row, stringify!($column))?),+ })
            }
        }
    };
}
