"""Commands about deployments, pools, servers and what they would run."""
