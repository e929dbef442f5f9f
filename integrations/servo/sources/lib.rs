//! Nothing: this package only names the sources that `cargo xtask servo` changes.
