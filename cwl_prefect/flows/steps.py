"""The name under which deployments have stored their pull step: :mod:`cwl_prefect.flows.deployment.pull_step`."""

from cwl_prefect.flows.deployment.pull_step import unpack

__all__ = ["unpack"]
