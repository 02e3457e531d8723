"""Talking to a cluster's API server, and the credentials for it."""
