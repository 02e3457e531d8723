"""What a run may read of the machine that it runs on; may be used by every room of this one."""
