"""Steps as Jobs of a Kubernetes cluster, with one pod each."""
