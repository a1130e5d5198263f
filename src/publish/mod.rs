//! From compositions to the zones that are served: serials, the state store, the swap.
//!
//! Stub of the interface.
