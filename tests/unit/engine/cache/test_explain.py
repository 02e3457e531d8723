"""What changed between two keys is said in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cwl_prefect.engine.cache.explain import differences, nearest
from cwl_prefect.model.cache import CacheEntry, CallKey

PARTS = {
    "scheme": 1,
    "tool": {"cwl": "v1.2", "command": {"baseCommand": "sort"}, "input reads": {"type": "File"}},
    "inputs": {
        "reads": {"class": "File", "basename": "a.fq", "checksum": "sha1$1", "size": 3},
        "folder": {"class": "Directory", "basename": "d", "tree": {}},
        "count": 3,
    },
    "requirements": {"EnvVarRequirement": {"envDef": []}},
    "runner": {"image": "sha256:1", "name": "debian:stable-slim"},
}
PROCESS = {"process": "Linux x86_64", "command": "sha1$1", "name": "sort"}


def test_it_says_what_an_expression_read():
    now, before = ({**PARTS, "seen": {"$(x) reads the location of input `f`": [place]}} for place in ("b", "a"))
    assert differences(now, before) == ["$(x) reads the location of input `f`: b, was a"]


def changed(part: str, **more) -> dict:
    merged = {**PARTS[part], **more} if isinstance(PARTS[part], dict) else more
    return {**PARTS, part: {name: item for name, item in merged.items() if item is not None}}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (PARTS, []),
        ({**PARTS, "scheme": 2}, ["the rules of the key changed with the version of cwl-prefect"]),
        (changed("tool", cwl="v1.1"), ["cwlVersion: v1.1, was v1.2"]),
        (changed("tool", command={"baseCommand": "sort", "stdin": "x"}), ["the tool's stdin: x, was null"]),
        (changed("tool", **{"input reads": {"type": "string"}}), ["the declaration of input `reads` differs"]),
        (changed("tool", **{"output o": {}}), ["the declaration of output `o` is new"]),
        (changed("tool", ontology=[]), ["the tool's ontology differs"]),
        (changed("inputs", count=4), ["input `count`: 4, was 3"]),
        (changed("inputs", count=None), ["input `count` is gone"]),
        (changed("inputs", more="x"), ["input `more` is new"]),
        (changed("inputs", count="x" * 99), [f"input `count`: {'x' * 60}…, was 3"]),
        (
            changed("inputs", reads={**PARTS["inputs"]["reads"], "checksum": "sha1$2", "size": 4}),
            ["input `reads`: checksum differs"],
        ),
        (
            changed("inputs", reads={**PARTS["inputs"]["reads"], "basename": "b.fq", "executable": True}),
            ["input `reads`: basename b.fq, was a.fq", "input `reads`: is executable now"],
        ),
        (
            changed("inputs", folder={**PARTS["inputs"]["folder"], "tree": {"x": {}}}),
            ["input `folder`: what is in the directory differs"],
        ),
        ({**PARTS, "seen": {"it reads the location": ["x"]}}, []),
        (changed("requirements", EnvVarRequirement={}), ["the requirement EnvVarRequirement differs"]),
        (changed("requirements", EnvVarRequirement=None), ["the requirement EnvVarRequirement is gone"]),
        (changed("requirements", NetworkAccess={}), ["the requirement NetworkAccess is new"]),
        (
            changed("runner", image="sha256:2"),
            ["image debian:stable-slim moved to another digest, or its environment changed"],
        ),
        (changed("runner", image="sha256:2", name="bwa:2"), ["image bwa:2, was debian:stable-slim"]),
        (changed("runner", name="another tag"), []),
        ({**PARTS, "runner": PROCESS}, ["it runs as a process now"]),
    ],
)
def test_what_changed(now: dict, said: list[str]):
    assert differences(now, PARTS) == said


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({**PROCESS, "command": "sha1$2"}, "the program sort of this machine changed"),
        ({**PROCESS, "process": "Linux aarch64"}, "the machine is another: Linux aarch64, was Linux x86_64"),
    ],
)
def test_what_changed_of_a_machine(now: dict, said: str):
    assert differences({**PARTS, "runner": now}, {**PARTS, "runner": PROCESS}) == [said]


def entry(parts: dict, created_at: float) -> CacheEntry:
    return CacheEntry(
        key=CallKey(digest=str(created_at), parts=parts),
        step="s",
        tool="t",
        run_id="r",
        created_at=created_at,
        duration_s=1,
        outputs={},
    )


def test_the_nearest_is_the_latest_of_those_that_differ_least():
    far = entry(changed("inputs", count=4, reads=None), 4)
    near, nearer = entry(changed("inputs", count=4), 2), entry(changed("inputs", count=5), 3)
    assert nearest(PARTS, [far, near, nearer]) is nearer
    assert nearest(PARTS, []) is None


JSON = st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner, max_size=3))
KEYS = st.dictionaries(st.sampled_from(["scheme", "tool", "inputs", "requirements", "runner"]), JSON)


@given(KEYS, KEYS)
def test_any_two_keys_can_be_compared(one: dict, other: dict):
    assert differences(one, one) == []
    assert all(isinstance(text, str) for text in differences(one, other))


def test_of_steps_within_steps_the_innermost_are_told():
    before = {"tool": {"step a": "1", "step a.b": "2", "step a.b.c": "3", "step ab": "4", "step d": "5"}}
    now = {"tool": {"step a": "x", "step a.b": "x", "step a.b.c": "x", "step ab": "4", "step d": "x"}}
    assert differences(now, before) == ["what the step `a.b.c` does differs", "what the step `d` does differs"]
