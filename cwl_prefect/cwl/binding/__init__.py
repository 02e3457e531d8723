"""From a plan and values to a call, and from what a call left to its outputs."""
