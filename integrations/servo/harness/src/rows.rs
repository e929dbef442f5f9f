//! What is printed: a row holds a figure of each side.

use serde::{Deserialize, Serialize};

/// What is known of one side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Figure {
    /// The side does not take part.
    #[default]
    None,
    Number(f64),
    /// The trial passed.
    Passed,
    /// The trial or the measurement failed, and how.
    Failed(String),
}

impl Figure {
    pub fn number(&self) -> Option<f64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }
}

impl From<Option<f64>> for Figure {
    fn from(number: Option<f64>) -> Self {
        number.map_or(Self::None, Self::Number)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub id: String,
    pub work: String,
    pub unit: String,
    pub published: Figure,
    pub adapted: Figure,
    /// Frames without a copy, driven without Servo's channels.
    #[serde(default)]
    pub direct: Figure,
    pub floor: Figure,
}

impl Row {
    pub fn new(id: impl Into<String>, work: impl Into<String>, unit: &str) -> Self {
        let [published, adapted, direct, floor] = [(); 4].map(|()| Figure::None);
        Self { id: id.into(), work: work.into(), unit: unit.into(), published, adapted, direct, floor }
    }

    /// Returns the figure of a side, by its name.
    pub fn figure_of(&mut self, side: &str) -> &mut Figure {
        match side {
            "published" => &mut self.published,
            "adapted" => &mut self.adapted,
            "direct" => &mut self.direct,
            _ => &mut self.floor,
        }
    }
}
