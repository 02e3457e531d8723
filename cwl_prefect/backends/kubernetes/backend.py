"""Runs jobs as Jobs of a Kubernetes cluster, with one pod each."""

import asyncio
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cwl_prefect._lib.cancellation import shielded
from cwl_prefect._lib.single_flight import Once
from cwl_prefect.backends.base import Capabilities, JobHandle
from cwl_prefect.backends.job_template.job_variables import JobVariables, packaged_template
from cwl_prefect.backends.kubernetes.api.client import RefusedError
from cwl_prefect.backends.kubernetes.cluster import Cluster, open_cluster
from cwl_prefect.backends.kubernetes.jobs import (
    DRIVER_ANNOTATION,
    RUNS_ANNOTATION,
    create,
    pods_of,
    remove,
    take_over,
    what_runs,
)
from cwl_prefect.backends.kubernetes.manifest.defaults import KubernetesDefaults, step_defaults
from cwl_prefect.backends.kubernetes.manifest.job import StepPod, shown, step_manifest
from cwl_prefect.backends.kubernetes.marks import Mark, forget, note
from cwl_prefect.backends.kubernetes.objects import KubernetesObject, job_name, selector
from cwl_prefect.backends.kubernetes.outcomes import doubtful
from cwl_prefect.backends.kubernetes.patience import Patience, exceeded_quota, with_quota
from cwl_prefect.backends.kubernetes.storage import make_outputs
from cwl_prefect.backends.kubernetes.transfers.arrival import received
from cwl_prefect.backends.kubernetes.transfers.secret import give, take_back
from cwl_prefect.backends.kubernetes.transfers.transfers import Transfers, call_of
from cwl_prefect.backends.kubernetes.wait import PodWait
from cwl_prefect.backends.kubernetes.watch import Followed, PodWatch
from cwl_prefect.backends.naming import FLOW_RUN_LABEL, JOB_LABEL, job_labels
from cwl_prefect.backends.outcomes import unstarted
from cwl_prefect.errors import BackendError
from cwl_prefect.model.job import PASSING_REASONS, ContainerJob, DockerImage, JobOutcome, Mount, Reason
from cwl_prefect.settings import Settings
from cwl_prefect.storage.credentials import lent_for

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

_WITH_LIVING_PODS = PASSING_REASONS | {Reason.TIMED_OUT, Reason.UNSCHEDULABLE}  # the next try has the same directory
_MALFORMED = (400, 422)
_CAPABILITIES = Capabilities(containers=True, mounts=True, outlives_driver=True, schedules=True)


@dataclass(slots=True, kw_only=True)
class _Running:
    job: ContainerJob
    watch: PodWatch
    followed: Followed
    wait: PodWait | None = None
    outcome: JobOutcome | None = None
    waiting: asyncio.Lock = field(default_factory=asyncio.Lock)


class KubernetesBackend:
    """Runs each job as a Job with one pod, on files of a volume that the pods share with this process.

    Pods get the platform's part from the pool's template, a read-only root, the caller's user and group unless the
    template names others, and exactly the job's environment on top of the image's own. The image's entry point is kept,
    where the job variable ``entry_point``, an engine or a registry tells it; else calls run without it, with a warning.
    Each Job survives its driver, so that the next one can adopt it.

    Args:
        settings: Names the volume, the workspaces and what else a user may choose.
        variables: Job template of a Kubernetes work pool and the job variables over it; the packaged template where
            none is given.
        client: Resolves blocks and variables that the template refers to.
        pool: Name of that work pool.
    """

    def __init__(
        self,
        settings: Settings,
        variables: JobVariables | None = None,
        *,
        client: "PrefectClient | None" = None,
        pool: str | None = None,
    ) -> None:
        self._variables = variables or JobVariables(template=packaged_template("kubernetes"))
        self._client = client
        self._pool = pool
        self._driver = uuid.uuid4().hex
        self._home = settings.home
        self._noted: list[str] = []
        self._cluster: Once[None, Cluster] = Once(lambda _: open_cluster(settings, self._variables, client=client))
        self._merged: Once[tuple[str, ...], KubernetesDefaults] = Once(self._merge)
        self._lent: Once[str, str | None] = Once(self._lend)
        self._lent_to: set[str] = set()
        self._watches: dict[str, PodWatch] = {}
        self._running: dict[str, _Running] = {}

    @property
    def name(self) -> str:
        """Name for people."""
        return "kubernetes"

    @property
    def capabilities(self) -> Capabilities:
        """Containers, which see files where they are mounted."""
        return _CAPABILITIES

    async def cluster(self) -> Cluster:
        """Connect, merge the template and find the volume, once.

        Raises:
            BackendError: No cluster is configured or answers, or no volume is shared with it.
        """
        return await self._cluster.get(None)

    async def identify(self, image: DockerImage | None, *, step: str) -> str | None:
        """Return the digest by which pods run an image, and what the platform gives to the step.

        Raises:
            UnidentifiedError: No registry tells the digest, or nobody the entry point.
            BackendError: No cluster is configured or answers.
        """
        if image is None:
            return None
        cluster = await self.cluster()
        merged = await self._merged.get(self._variables.patterns_of(step))
        found = await cluster.images.get(image, pull_policy=merged.pull_policy)
        digest = cluster.images.identified(image, found, merged.entry_point)
        processor = f" on {merged.architecture}" if merged.architecture else ""
        return f"{digest} with environment {merged.environment_digest(cluster.storage)}{processor}"

    async def start(self, job: ContainerJob) -> JobHandle:
        """Create a job's Job, or take over the one that is there.

        Raises:
            ImageError: The image is to be built or loaded, and no engine of this machine can.
            BackendError: The cluster does not answer or refuses the Job, or a file does not lie on the volume.
        """
        if job.image is None:
            raise BackendError(f"{job.name} names no image", hint="run it with the local backend")
        cluster = await self.cluster()
        name = job_name(job.job_id)
        handle = JobHandle(job=job, reference=name)
        try:
            await asyncio.to_thread(make_outputs, job, cluster.storage)
        except OSError as exc:
            return self._never_ran(cluster, handle, f"{exc.strerror}: {exc.filename}")
        if job.stdin is not None and not os.access(job.stdin, os.R_OK):
            return self._never_ran(cluster, handle, f"its stdin {job.stdin} cannot be read")
        manifest = await self._manifest(cluster, job, job.image)
        self._follow(cluster, job)
        try:
            lacking = await self._created(cluster, job, manifest)
        except (asyncio.CancelledError, BackendError):
            await self.delete(handle)
            raise
        return handle if lacking is None else self._never_ran(cluster, handle, lacking, reason=Reason.QUOTA)

    async def adopt(self, job: ContainerJob) -> JobHandle | None:
        """Follow the Job of a driver that is gone; one that cannot be followed is removed.

        Raises:
            BackendError: The cluster does not answer.
        """
        cluster = await self.cluster()
        handle = JobHandle(job=job, reference=job_name(job.job_id))
        self._running.pop(handle.reference, None)
        if job.image is not None and await take_over(
            cluster, job, what_runs(*await self._image(cluster, job, job.image))
        ):
            followed = self._follow(cluster, job, adopted=True)
            for pod in await pods_of(cluster.api, cluster.defaults.namespace, handle.reference):
                followed.see(pod, deleted=False)  # the watch tells only what changes from now on
            return handle
        await remove(cluster.api, cluster.defaults.namespace, handle.reference)
        if cluster.transfers is not None:
            await cluster.transfers.forget(call_of(job))
        return None

    async def wait(self, handle: JobHandle) -> JobOutcome:
        """Wait for the pod to end; one past its time limit is killed.

        Raises:
            ImageError: The nodes cannot pull the image.
            BackendError: The job is not one of this backend or was deleted, or the cluster went away for good.
        """
        running = self._running.get(handle.reference)
        if running is None:
            raise BackendError(f"no Job {handle.reference} of {handle.job.name} was started here")
        cluster = await self.cluster()
        async with running.waiting:
            if running.outcome is None:
                running.wait = running.wait or PodWait(
                    handle.job,
                    cluster.api,
                    cluster.defaults.namespace,
                    options=cluster.options,
                    watch=running.watch,
                    followed=running.followed,
                )
                outcome = await running.wait.outcome()
                if cluster.transfers is not None:
                    outcome = await received(cluster.transfers, handle, outcome, running.followed, running.watch)
                    if outcome.reason is Reason.LOST:
                        cluster.transfers.doubt()
                cluster.launcher.ended(handle.reference)
                if outcome.reason in _WITH_LIVING_PODS or running.followed.replaced:
                    await remove(cluster.api, cluster.defaults.namespace, handle.reference)
                if running.followed.twice and outcome.reason not in _WITH_LIVING_PODS:
                    outcome = doubtful(outcome)
                running.outcome = outcome
            return running.outcome

    async def delete(self, handle: JobHandle) -> None:
        """Delete the Job, and its pod if it still runs.

        Raises:
            BackendError: The cluster refuses.
        """
        cluster = await self.cluster()
        running = self._running.get(handle.reference)
        ended = running is not None and running.outcome is not None
        cluster.launcher.ended(handle.reference)
        await cluster.links.remove(handle.reference)
        if ended:
            await cluster.api.delete_job(cluster.defaults.namespace, handle.reference)
        else:
            await remove(cluster.api, cluster.defaults.namespace, handle.reference)
        if cluster.transfers is not None:
            await cluster.transfers.forget(call_of(handle.job))
        if running is not None:
            running.watch.forget(handle.reference)
        self._running.pop(handle.reference, None)

    async def close(self) -> None:
        """Delete what still runs, remove copies of inputs, and give back connections."""
        cluster = self._cluster.peek(None)
        problems: list[BaseException | None] = []
        if cluster is not None:
            handles = [JobHandle(job=item.job, reference=name) for name, item in self._running.items()]
            problems = await asyncio.gather(*map(self.delete, handles), return_exceptions=True)
            await asyncio.gather(*map(self._lent.get, self._lent_to), return_exceptions=True)
            taken = (take_back(cluster.api, cluster.defaults.namespace, run) for run in self._lent_to)
            problems += await asyncio.gather(*taken, return_exceptions=True)
            await asyncio.gather(*(watch.close() for watch in self._watches.values()), cluster.registries.close())
            await cluster.imports.remove()
            await cluster.api.close()
        for problem in problems:
            if problem is not None:
                raise problem
        for run in self._noted:
            forget(self._home, run)

    async def _created(self, cluster: Cluster, job: ContainerJob, manifest: KubernetesObject) -> str | None:
        """Create a Job as soon as the namespace has quota for it; return what it had not for too long, or None."""
        patience, limit_s = Patience(self._watch_for(cluster, job), job.name), cluster.options.start_timeout_s
        try:
            await with_quota(
                lambda: shielded(create(cluster, manifest)), patience, limit_s, namespace=cluster.defaults.namespace
            )
        except RefusedError as error:
            lacking = exceeded_quota(error.message)
            if lacking is None:
                raise self._blamed(error, job) from None
            return lacking
        return None

    def _blamed(self, error: RefusedError, job: ContainerJob) -> RefusedError:
        """Name the step overrides, or else the template, where the server takes a manifest for malformed."""
        if error.status not in _MALFORMED:
            return error
        givers = " or ".join(self._variables.patterns_of(job.name)) or "the work pool's job template and variables"
        hint = f"check what this gives: {givers}"
        return RefusedError(error.message, hint=hint, status=error.status, reason=error.reason)

    def _never_ran(
        self, cluster: Cluster, handle: JobHandle, message: str, *, reason: Reason = Reason.START_FAILED
    ) -> JobHandle:
        outcome = unstarted(handle.job, reason, message)
        watch = self._watch_for(cluster, handle.job)
        self._running[handle.reference] = _Running(job=handle.job, watch=watch, followed=Followed(), outcome=outcome)
        return handle

    def _follow(self, cluster: Cluster, job: ContainerJob, *, adopted: bool = False) -> Followed:
        watch, name = self._watch_for(cluster, job), job_name(job.job_id)
        followed = watch.follow(name, adopted=adopted)
        self._running[name] = _Running(job=job, watch=watch, followed=followed)
        return followed

    def _watch_for(self, cluster: Cluster, job: ContainerJob) -> PodWatch:
        labels = job_labels(job, {})
        run = labels.get(FLOW_RUN_LABEL)
        chosen = selector({FLOW_RUN_LABEL: run}) if run else JOB_LABEL
        if chosen not in self._watches:
            if run and note(self._home, self._mark(cluster, run)):
                self._noted.append(run)
            self._watches[chosen] = PodWatch(cluster.api, cluster.defaults.namespace, chosen)
        return self._watches[chosen]

    def _mark(self, cluster: Cluster, run: str) -> Mark:
        named_by = None if cluster.defaults.cluster is None else self._pool
        return Mark(run_id=run, namespace=cluster.defaults.namespace, pool=named_by)

    async def _manifest(self, cluster: Cluster, job: ContainerJob, wanted: DockerImage) -> KubernetesObject:
        defaults = await self._merged.get(self._variables.patterns_of(job.name))
        image, entry_point = await self._image(cluster, job, wanted)
        mounts = await asyncio.gather(*(cluster.imports.bring(mount) for mount in job.mounts))
        stdin = None if job.stdin is None else await cluster.imports.bring(Mount(source=job.stdin, target=""))
        name = job_name(job.job_id)
        step = StepPod(
            job=job,
            image=image,
            entry_point=entry_point,
            mounts=await cluster.links.placed(name, mounts),
            stdin=stdin,
            user=job.user or f"{os.geteuid()}:{os.getegid()}",
            init_containers=await cluster.launcher.init_containers(name),
            owner=cluster.owner,
            annotations={DRIVER_ANNOTATION: self._driver, RUNS_ANNOTATION: what_runs(image, entry_point)},
        )
        if cluster.transfers is not None:
            step = await self._sent(cluster, cluster.transfers, step, shown(step, cluster.options)[0])
        return step_manifest(step, defaults, cluster.options, storage=cluster.storage, launcher=cluster.launcher)

    async def _sent(self, cluster: Cluster, transfers: Transfers, step: StepPod, mounts: Sequence[Mount]) -> StepPod:
        """Upload what a call is to find, and return its pod with what brings it there and takes away what it leaves."""
        run, secret = job_labels(step.job, {}).get(FLOW_RUN_LABEL), None
        if run is not None and transfers.containers.secret is None:
            self._watch_for(cluster, step.job)  # which notes that something of the run is in the cluster
            secret = await self._lent.get(run)
        size_mib = await transfers.send(call_of(step.job), mounts)
        return transfers.placed(step, call_of(step.job), inputs_mib=size_mib, secret=secret)

    async def _lend(self, run: str) -> str | None:
        """Write what a storage block lends a run into its Secret, and return that; None where there is nothing."""
        cluster = await self.cluster()
        credentials = None if cluster.transfers is None else lent_for(cluster.transfers.containers.url)
        variables = {} if credentials is None else credentials.secret_variables
        if not variables:
            return None
        self._lent_to.add(run)
        return await give(cluster.api, cluster.defaults.namespace, run, variables, cluster.owner)

    async def _image(self, cluster: Cluster, job: ContainerJob, wanted: DockerImage) -> tuple[str, tuple[str, ...]]:
        """Return the name of the image that a pod runs for a job, and the words before the job's command."""
        defaults = await self._merged.get(self._variables.patterns_of(job.name))
        found = await cluster.images.get(wanted, pull_policy=defaults.pull_policy)
        stated = defaults.entry_point
        return found.name, cluster.images.entry_point(found, job.command) if stated is None else stated

    async def _merge(self, patterns: tuple[str, ...]) -> KubernetesDefaults:
        cluster = await self.cluster()
        if not patterns:
            return cluster.defaults
        return await step_defaults(self._variables.with_patterns(patterns), cluster.defaults, client=self._client)
