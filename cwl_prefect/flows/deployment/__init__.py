"""A workflow on its way to a worker, inside a deployment."""
