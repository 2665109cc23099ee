//! Developers' heavy equipment: the market simulator, a stand-in for the archiving connector, the demo's report and
//! proof, and what integration tests share. None of it is deployed with the pipeline, except the simulator in a demo.

pub mod archive;
pub mod bench;
pub mod chaos;
pub mod cli;
pub mod dashboards;
pub mod pace;
pub mod process;
pub mod prove;
pub mod replay;
pub mod report;
pub mod simulate;
pub mod soak;
