"""A language server for CWL: what is wrong with a document, what it refers to, and what may be written next.

Only the command ``cwl-prefect lsp`` enters. Documents are strangers': nothing of them is run, nothing is fetched for
them, and a text that is larger than an editor's should be is left alone.
"""
