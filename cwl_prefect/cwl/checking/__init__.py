"""What is known of a document before a run: each fault with its place."""
