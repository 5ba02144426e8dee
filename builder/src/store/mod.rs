//! A content-addressed directory that is never trusted.
