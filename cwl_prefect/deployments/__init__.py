"""Deployments and work pools: what a Prefect server is told, so that its workers run workflows."""
