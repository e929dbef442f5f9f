//! Small anchored replacements in files of others.
//!
//! An edit quotes the text that it replaces, as far as the place needs it to be found, and says why it is made. Edits of a file are
//! applied in their order, each to what those before it have left. An edit whose place is not there, or is there more often than
//! it says, is an error: another version of the file needs other edits.

use serde::Deserialize;

/// The edits of `edits.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    edit: Vec<Edit>,
}

/// One replacement.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The file, below the folder that holds the crates.
    pub file: String,
    /// A sentence that says why the file changes here.
    why: String,
    /// What is replaced, or what the replaced text begins with if there is `through`.
    find: String,
    /// How often `find` occurs; each occurrence is replaced.
    #[serde(default = "once")]
    times: usize,
    /// The replaced text ends with the first occurrence of this after `find`.
    through: Option<String>,
    /// The text that takes the place.
    with: String,
    /// Whether the published crate is changed as well.
    #[serde(default)]
    pub both: bool,
}

fn once() -> usize {
    1
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error(
        "{file}: the edit \"{why}\" looks for this text, which must occur {expected} and occurs {found}:\n{find}"
    )]
    Occurrences { file: String, why: String, find: String, expected: Times, found: Times },
    #[error(
        "{file}: the edit \"{why}\" replaces through this text, which does not follow its beginning:\n{through}"
    )]
    NoEnd { file: String, why: String, through: String },
}

/// How often something occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times(usize);

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            0 => f.write_str("nowhere"),
            1 => f.write_str("once"),
            times => write!(f, "{times} times"),
        }
    }
}

/// Reads a list of edits.
pub fn parse(text: &str) -> Result<Vec<Edit>, toml::de::Error> {
    toml::from_str(text).map(|document: Document| document.edit)
}

impl Edit {
    /// Returns the text after the edit.
    ///
    /// # Errors
    ///
    /// What is looked for is not there as often as the edit says.
    pub fn apply(&self, text: &str) -> Result<String, EditError> {
        let found = text.matches(&self.find).count();
        if self.find.is_empty() || found == 0 || found != self.times {
            return Err(EditError::Occurrences {
                file: self.file.clone(),
                why: self.why.clone(),
                find: self.find.clone(),
                expected: Times(self.times),
                found: Times(found),
            });
        }
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(&self.find) {
            result += before;
            result += &self.with;
            rest = match &self.through {
                Some(through) => after.split_once(through).ok_or_else(|| self.no_end(through))?.1,
                None => after,
            };
        }
        Ok(result + rest)
    }

    fn no_end(&self, through: &str) -> EditError {
        EditError::NoEnd { file: self.file.clone(), why: self.why.clone(), through: through.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(find: &str, with: &str) -> Edit {
        Edit {
            file: "crate/lib.rs".into(),
            why: "It is a test.".into(),
            find: find.into(),
            times: 1,
            through: None,
            with: with.into(),
            both: false,
        }
    }

    fn apply_all(edits: &[Edit], text: &str) -> Result<String, EditError> {
        edits.iter().try_fold(text.to_owned(), |text, edit| edit.apply(&text))
    }

    #[test]
    fn what_is_found_once_is_replaced() {
        assert_eq!(edit("b", "xy").apply("abc").unwrap(), "axyc");
        assert_eq!(edit("abc", "").apply("abc").unwrap(), "");
    }

    #[test]
    fn what_is_missing_is_an_error_that_names_file_edit_and_text() {
        let error = edit("let poller", "").apply("abc").unwrap_err();
        let EditError::Occurrences { found, .. } = &error else { panic!("{error}") };
        assert_eq!(*found, Times(0));
        assert_eq!(
            error.to_string(),
            "crate/lib.rs: the edit \"It is a test.\" looks for this text, which must occur once and occurs nowhere:\nlet poller"
        );
    }

    #[test]
    fn what_occurs_twice_is_an_error_unless_the_edit_says_so() {
        let error = edit("b", "").apply("abcb").unwrap_err();
        assert!(error.to_string().contains("must occur once and occurs 2 times"), "{error}");
        let twice = Edit { times: 2, ..edit("b", "x") };
        assert_eq!(twice.apply("abcb").unwrap(), "axcx");
        assert!(twice.apply("abc").is_err());
        assert!(twice.apply("abcbb").is_err());
    }

    #[test]
    fn an_edit_with_an_end_replaces_through_the_first_one_after_its_beginning() {
        let through = Edit { through: Some("}\n".into()), ..edit("b {", "x") };
        assert_eq!(through.apply("a }\nb { c }\nd }\n").unwrap(), "a }\nxd }\n");
    }

    #[test]
    fn an_end_that_only_precedes_the_beginning_is_an_error() {
        let through = Edit { through: Some("}".into()), ..edit("b {", "") };
        let error = through.apply("} b {").unwrap_err();
        assert_eq!(
            error,
            EditError::NoEnd {
                file: "crate/lib.rs".into(),
                why: "It is a test.".into(),
                through: "}".into()
            }
        );
    }

    #[test]
    fn edits_are_applied_in_their_order() {
        let (first, second) = (edit("a", "b"), edit("b", "c"));
        assert_eq!(apply_all(&[first, second], "a").unwrap(), "c");
        // In the other order the text is not there yet.
        assert!(apply_all(&[edit("b", "c"), edit("a", "b")], "a").is_err());
    }

    #[test]
    fn an_edit_of_what_an_earlier_one_took_away_is_an_error() {
        let overlapping = [edit("abc", "x"), edit("cd", "y")];
        assert!(apply_all(&overlapping, "abcd").is_err());
    }

    #[test]
    fn an_edit_that_finds_nothing_anywhere_or_has_an_unknown_key_is_refused() {
        assert!(edit("", "x").apply("abc").is_err());
        assert!(Edit { times: 0, ..edit("x", "y") }.apply("abc").is_err());
        let text = "[[edit]]\nfile = \"a\"\nwhy = \"b\"\nfind = \"c\"\nwith = \"d\"\n";
        assert_eq!(parse(text).unwrap().len(), 1);
        assert!(parse(&format!("{text}keep = true\n")).is_err());
    }
}
