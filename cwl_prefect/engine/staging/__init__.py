"""The directories of one call, and what a tool finds in them."""
