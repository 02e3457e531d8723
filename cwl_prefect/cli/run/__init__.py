"""The command ``run``: document and inputs, progress, batches."""
