"""When calls may run: cores, memory, disk, order and tries."""
