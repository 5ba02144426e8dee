//! A build as BuildKit is told it: a graph of operations (LLB) with stable bytes.
