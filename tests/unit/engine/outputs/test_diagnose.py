import signal
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cwl_prefect.engine.outputs.diagnose import explain
from cwl_prefect.model.job import ContainerJob, DockerImage, JobOutcome, Reason, Resources
from tests import calls

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def job(tmp_path) -> ContainerJob:
    (tmp_path / "logs").mkdir()
    return calls.job(
        tmp_path,
        name="align[3]",
        image=DockerImage(pull="biotools/bwa:1"),
        command=("bwa", "mem", "a b.fq", "it's"),
        workdir="/out",
        resources=Resources(ram_mib=512),
    )


def ended(reason: Reason = Reason.EXITED, exit_code: int | None = None, **fields) -> JobOutcome:
    return JobOutcome(job_id="id", reason=reason, exit_code=exit_code, started_at=NOW, finished_at=NOW, **fields)


def told(outcome, job, *, tail_lines: int = 3) -> tuple[str, str | None]:
    return explain(outcome, job, tail_lines=tail_lines, workspace=Path("/runs/align"))


def test_the_message_holds_the_evidence(job):
    job.stderr.write_text("one\ntwo\nthree\nfour\n")
    message, hint = told(ended(exit_code=3), job)
    assert message.splitlines() == [
        "align[3] failed: it exited with code 3",
        "  command:   bwa mem 'a b.fq' 'it'\"'\"'s'",
        "  image:     biotools/bwa:1",
        "  workspace: /runs/align",
        f"  last lines of stderr ({job.stderr}):",
        "    two",
        "    three",
        "    four",
    ]
    assert hint is None


def test_a_process_without_stderr(job):
    message, _ = told(ended(exit_code=1), replace(job, image=None))
    assert "image:     none (a process on this machine)" in message
    assert "stderr:    empty" in message
    assert "stderr" not in told(ended(exit_code=1), job, tail_lines=0)[0]


def test_a_tool_that_printed_to_stdout_alone_is_quoted_from_there(job):
    job.stdout.write_text("on stdout\nreally\n")
    message, _ = told(ended(exit_code=3), job)
    assert message.splitlines()[-4:] == [
        "  stderr:    empty",
        f"  last lines of stdout ({job.stdout}):",
        "    on stdout",
        "    really",
    ]


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        pytest.param(ended(exit_code=126), "code 126 (the command was found but could not be executed)", id="126"),
        pytest.param(ended(exit_code=127), "code 127 (command not found)", id="127"),
        pytest.param(ended(exit_code=137), "code 137 (killed by SIGKILL, most likely", id="137"),
        pytest.param(ended(exit_code=139), "128 + 11, so most likely killed by SIGSEGV (signal 11)", id="139"),
        pytest.param(ended(exit_code=160), "128 + 32, so most likely killed by signal 32", id="signal-without-name"),
        pytest.param(ended(exit_code=255), "it exited with code 255\n", id="255"),
        pytest.param(ended(), "without an exit code", id="no-code"),
        pytest.param(ended(Reason.SIGNALED, signal=signal.SIGTERM), "killed by SIGTERM (signal 15)", id="signal"),
        pytest.param(ended(Reason.SIGNALED), "killed by a signal", id="some-signal"),
        pytest.param(ended(Reason.OUT_OF_MEMORY, 137), "memory limit of 512 MiB", id="oom"),
        pytest.param(ended(Reason.TIMED_OUT), "longer than its time limit of 2 s", id="time"),
        pytest.param(ended(Reason.NOT_FOUND), "command was not found (exit code 127)", id="not-found"),
        pytest.param(ended(Reason.NOT_EXECUTABLE), "cannot be executed (exit code 126)", id="not-executable"),
        pytest.param(ended(Reason.START_FAILED, message="no\ncgroup"), "could not be started", id="start"),
        pytest.param(ended(Reason.EVICTED), "evicted", id="evicted"),
        pytest.param(ended(Reason.PREEMPTED), "make room", id="preempted"),
        pytest.param(ended(Reason.NODE_LOST), "went away", id="node-lost"),
        pytest.param(ended(Reason.LOST), "nobody knows", id="lost"),
        pytest.param(ended(Reason.UNSCHEDULABLE), "no machine", id="unschedulable"),
        pytest.param(ended(Reason.QUOTA), "quota", id="quota"),
        pytest.param(ended(Reason.NO_IMAGE), "cannot pull", id="no-image"),
        pytest.param(ended(Reason.NO_CONTAINER), "cannot be made", id="no-container"),
    ],
)
def test_how_it_ended(job, outcome, words):
    assert words in told(outcome, replace(job, timeout_s=2))[0]


def test_the_engines_own_words_are_shown_on_one_line(job):
    assert "  engine:    no\\ncgroup\n" in told(ended(Reason.START_FAILED, message="no\ncgroup\n"), job)[0]


@pytest.mark.parametrize(
    ("outcome", "stderr", "words"),
    [
        pytest.param(ended(Reason.TIMED_OUT), "", "ToolTimeLimit", id="time-limit"),
        pytest.param(ended(Reason.OUT_OF_MEMORY), "", "ramMin", id="oom-killed"),
        pytest.param(ended(exit_code=137), "", "ramMin", id="137"),
        pytest.param(ended(Reason.SIGNALED, signal=signal.SIGKILL), "", "ramMin", id="sigkill"),
        pytest.param(ended(exit_code=1), "numpy: MemoryError", "512 MiB now", id="memory-error"),
        pytest.param(ended(exit_code=1), "write: No space left on device", "--workdir", id="disk-full"),
        pytest.param(ended(exit_code=1), "touch: /x: Read-only file system", "runtime.outdir", id="read-only"),
        pytest.param(ended(exit_code=1), "curl: Could not resolve host: x", "networkAccess: true", id="network"),
        pytest.param(ended(exit_code=1), "wget: bad address 'x'", "networkAccess: true", id="busybox-network"),
        pytest.param(ended(exit_code=127), "sh: foo: not found", "bwa, and all that it calls", id="not-found"),
        pytest.param(ended(Reason.NOT_FOUND), "", "the image biotools/bwa:1", id="no-command"),
        pytest.param(ended(exit_code=1), "x.sh: line 2: foo: command not found\nend", "installed", id="inner-command"),
        pytest.param(ended(exit_code=126), "", "chmod +x", id="not-executable"),
        pytest.param(ended(exit_code=1), "cat: x: Permission denied", "permissions", id="permission"),
        pytest.param(ended(exit_code=1), "cat: x: No such file or directory", "secondaryFiles", id="no-file"),
        pytest.param(ended(Reason.EVICTED), "", "run again", id="evicted"),
        pytest.param(ended(Reason.PREEMPTED), "", "priorityClassName", id="preempted"),
        pytest.param(ended(Reason.NODE_LOST), "", "INFRASTRUCTURE_RETRIES", id="node-lost"),
        pytest.param(ended(Reason.UNSCHEDULABLE), "", "node selector", id="unschedulable"),
        pytest.param(ended(Reason.QUOTA), "", "kubectl describe quota", id="quota"),
        pytest.param(ended(Reason.NO_IMAGE), "", "pull secrets", id="no-image"),
        pytest.param(ended(Reason.NO_CONTAINER), "", "config maps", id="no-container"),
        pytest.param(
            ended(Reason.START_FAILED, message="Error: No such image: x"), "", "DockerRequirement", id="missing-image"
        ),
    ],
)
def test_hints(job, outcome, stderr, words):
    job.stderr.write_text(stderr)
    assert words in told(outcome, job)[1]
    assert words in told(outcome, job, tail_lines=0)[1]


def test_a_kill_that_was_not_for_want_of_memory_names_what_may_have_been(job):
    killed = ended(Reason.SIGNALED, 137, signal=signal.SIGKILL, memory_sufficed=True)
    hint = told(killed, job)[1]
    assert "ramMin" not in hint
    assert "docker kill" in hint
    assert "cwl-prefect runs resume" in hint
    job.stderr.write_text("std::bad_alloc")
    assert "ramMin" in told(killed, job)[1]


def test_a_network_that_was_allowed_is_not_advised(job):
    job.stderr.write_text("Temporary failure in name resolution")
    assert told(ended(exit_code=1), replace(job, network=True))[1] == "check the name and the network"


def test_a_command_not_on_this_machine(job):
    assert "this machine's PATH" in told(ended(Reason.NOT_FOUND), replace(job, image=None))[1]


def test_huge_things_are_bounded(job):
    job.stderr.write_bytes(b"x" * 5_000_000 + b"\nlast\n")
    huge = replace(job, command=("tool", "y" * 1_000_000, *["arg"] * 100_000))
    message, _ = told(ended(exit_code=1, message="z" * 100_000), huge, tail_lines=5)
    assert len(message) < 20_000
    assert message.endswith("    last")
    assert "99999 more" not in message
    assert "more arguments" in message


def test_any_bytes_can_be_shown(job):
    job.stderr.write_bytes(b"\xff\xfe\n10%\r20%\r100%\n\x1b[31mred\x1b[0m\r\ntab\there\n")
    message, _ = told(ended(exit_code=1), job, tail_lines=10)
    assert message.splitlines()[-4:] == ["    \ufffd\ufffd", "    100%", "    red", "    tab     here"]


@given(st.binary(max_size=300), st.lists(st.text(max_size=20), max_size=5), st.integers(0, 5))
def test_every_line_of_the_message_is_printable(tmp_path_factory, stderr, command, tail_lines):
    path = tmp_path_factory.mktemp("diagnose") / "stderr"
    path.write_bytes(stderr)
    job = calls.job(path.parent, name="x", image=None, command=tuple(command), stdout=path, stderr=path)
    message, _ = explain(ended(exit_code=1), job, tail_lines=tail_lines, workspace=path.parent)
    assert all(line.isprintable() for line in message.split("\n"))
    assert len(message.split("\n")) <= 5 + max(tail_lines, 1)


def test_a_backend_s_own_hint_counts(job):
    assert told(ended(Reason.NO_IMAGE, hint="name another"), job)[1] == "name another"
