"""Small primitives that every room may use: each of them once, and none of them knows anything of workflows."""
