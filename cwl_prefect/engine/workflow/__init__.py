"""What a workflow means: steps that become ready, scatters, links between ports, and drawings of all that."""
