"""What is written down about runs beside their results, and read again later."""
