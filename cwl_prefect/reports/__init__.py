"""What a run tells people and machines: trace, reports, artifacts. It observes; runs know nothing of it."""
