//! Debian control data: stanzas, versions, relations (Debian policy 5, 5.6.12, 7).
