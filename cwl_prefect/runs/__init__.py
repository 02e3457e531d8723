"""What can be done to runs beside and after them: list, show, resume, interrupt, cancel, collect."""
