"""What surrounds a run: its driver lock, records, stopping, and the removal of whatever it started."""
