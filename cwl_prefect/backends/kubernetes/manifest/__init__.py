"""From a pool's job template to the manifest of a step's Job."""
