"""The local Prefect server: finding it, starting it, keeping it, and what it leaves warm for the next command."""
