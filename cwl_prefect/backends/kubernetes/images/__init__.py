"""Which image runs in a pod: its registry, digest and entry point."""
