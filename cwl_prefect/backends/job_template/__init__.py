"""What a work pool's base job template means for a step, on whatever platform."""
