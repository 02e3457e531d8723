"""Driving a plan: steps, calls, scatters, subworkflows, and what they share."""
