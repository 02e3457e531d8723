"""Deployments, by real servers and workers."""
