//! What pages, the browser and the suite say to each other.
//!
//! The package has two programs. `browser` opens one page in Servo, does what the page asks for, and prints a report as one line
//! of JSON. `suite` starts a browser for each page and each variant of Servo, and compares the reports. Both speak the types of
//! this library: [`protocol`] is what a page says on its console, [`report`] is what a browser prints.

pub mod protocol;
pub mod report;
