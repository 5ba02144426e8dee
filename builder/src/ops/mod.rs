//! One file per command: the stages in order.
