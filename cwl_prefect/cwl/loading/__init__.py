"""From a document to a plan: reading, checking, compiling."""
