//! placeholder
pub mod durability;
pub mod store_contract;
