//! What is printed: a row holds one figure of each side, and a target.

use serde::Serialize;

/// One figure of each side: `None` if the side does not take part.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub id: String,
    pub work: String,
    pub unit: &'static str,
    pub ours: Option<f64>,
    pub peer: Option<f64>,
    pub floor: Option<f64>,
    /// Whether `target` is met: `None` without a target.
    pub met: Option<bool>,
    #[serde(skip)]
    pub target: &'static str,
}

impl Row {
    pub fn new(id: impl Into<String>, work: impl Into<String>, unit: &'static str) -> Self {
        let (id, work) = (id.into(), work.into());
        Self { id, work, unit, ours: None, peer: None, floor: None, met: None, target: "" }
    }

    /// Adds a target for the figure of this crate, and whether it is met.
    pub fn with_target(mut self, target: &'static str, met: impl FnOnce(&Self) -> Option<bool>) -> Self {
        self.target = target;
        self.met = met(&self);
        self
    }
}
