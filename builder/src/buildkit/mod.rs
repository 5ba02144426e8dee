//! Speaks to BuildKit: solves a graph on a daemon, hears of its progress, receives what it made.
