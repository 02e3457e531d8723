"""The files of a trace."""

TRACE = "trace.jsonl"
TRACE_VERSION = 1
"""Version of the lines of a trace; members may be added to them without a new one."""

PLAN = "plan.json"
"""What the run runs, beside its trace."""
