"""Expressions, and the confined engine that evaluates their JavaScript."""
