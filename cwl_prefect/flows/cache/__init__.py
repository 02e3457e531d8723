"""The call cache as a run uses it."""
