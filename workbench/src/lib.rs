//! Developers' heavy equipment: the market simulator, a stand-in for the archiving connector,
//! report and proof, faults, a long run, measurements. None of it is deployed with the pipeline,
//! except the simulator in a demo.

pub mod archive;
mod bench;
mod chaos;
pub mod cli;
pub mod dashboards;
mod figures;
mod pace;
mod process;
mod prove;
mod report;
pub mod simulate;
mod soak;
