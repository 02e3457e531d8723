"""What a step would run as, shown without running it."""
