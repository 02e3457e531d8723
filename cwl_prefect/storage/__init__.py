"""Data where it is: what lies at a URL, read and written through the file systems of fsspec."""
