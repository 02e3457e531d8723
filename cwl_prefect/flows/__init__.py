"""Everything that touches the Prefect engine."""
