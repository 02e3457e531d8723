"""Everything that runs a command: as a process here, in Docker, on Kubernetes, or not at all (fake)."""
