"""The command line: arguments to api calls, errors to exit codes."""
