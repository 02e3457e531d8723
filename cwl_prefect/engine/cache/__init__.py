"""The call cache on disk: keys, entries, content, and care for them."""
