"""The commands ``cache``."""
