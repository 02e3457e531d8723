"""A process that has imported everything already, so that the next call of ``cwl-prefect`` starts at once.

Importing Prefect takes longer than many a run. A call of ``cwl-prefect run`` therefore leaves a process behind that
imports what the call had imported and waits. The next call in the same circumstances hands itself over: a fork of the
waiting process runs it, on the caller's terminal and in the caller's directory, and the caller passes signals on and
exits as the fork does. Any other call, and any that cannot be handed over, runs by itself. See docs/adr/0008.

Only the standard library is imported here: a call that is handed over imports nothing else.
"""
