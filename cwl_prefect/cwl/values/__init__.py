"""Values of inputs: their types, the files that they name, and what a document wants to be known of these."""
