"""Limits of the Prefect server that runs share: which a workflow needs, and their slots as its calls hold them."""
