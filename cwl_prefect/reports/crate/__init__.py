"""A run as a Provenance Run Crate: what was run, every call, and its data (Workflow Run RO-Crate 0.5, RO-Crate 1.1)."""
