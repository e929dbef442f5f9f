//! What is printed: one row for each figure.

use serde::Serialize;

/// One figure of each side; `None` where there is no such side.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub id: String,
    pub work: String,
    pub unit: &'static str,
    pub ours: Option<f64>,
    pub peer: Option<f64>,
    pub floor: Option<f64>,
    /// Whether `target` is met. `None` without one.
    pub met: Option<bool>,
    #[serde(skip)]
    pub target: &'static str,
}

impl Row {
    pub fn new(id: impl Into<String>, work: impl Into<String>, unit: &'static str) -> Self {
        let (id, work) = (id.into(), work.into());
        Self { id, work, unit, ours: None, peer: None, floor: None, met: None, target: "" }
    }

    /// Says what ours is to reach.
    pub fn with_target(mut self, target: &'static str, met: impl FnOnce(&Self) -> Option<bool>) -> Self {
        self.target = target;
        self.met = met(&self);
        self
    }
}
