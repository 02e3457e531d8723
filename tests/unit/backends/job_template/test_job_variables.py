"""Which job variables a step has: layers, patterns, and what is refused."""

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cwl_prefect.backends.job_template.job_variables import (
    JobVariables,
    Layer,
    Origin,
    check_flow_run_variables,
    check_job_variables,
    owned,
    packaged_template,
)
from cwl_prefect.backends.job_template.tool_environment import FLOW_RUN_PREFIXES, looks_secret, tool_environment
from cwl_prefect.errors import UsageError
from cwl_prefect.model.names import call_name, without_indices

ORIGINS = (Origin.DEPLOYMENT, Origin.RUN, Origin.SETTING)
NAMES = st.sampled_from(["networks", "privileged", "labels", "env", "command", "image", "mem_limit", "cpu_limit"])
VALUES = st.one_of(st.booleans(), st.integers(), st.text(max_size=3))
ENVIRONMENTS = st.dictionaries(st.sampled_from(["A", "B", "C"]), st.text(max_size=2), max_size=3)
PLAIN = st.dictionaries(NAMES.filter(lambda name: name != "env"), VALUES, max_size=4)
FOR_STEPS = st.builds(lambda plain, env: {**plain, **({"env": env} if env else {})}, PLAIN, ENVIRONMENTS)
PATTERNS = st.sampled_from(["align", "*", "a*", "prepare.align", "*.align", "?lign"])
MEMBERS = st.builds(
    lambda plain, steps: {**plain, "steps": steps},
    FOR_STEPS,
    st.dictionaries(PATTERNS, PLAIN.map(lambda found: {k: v for k, v in found.items() if k != "image"}), max_size=3),
)
VARIABLES = st.builds(lambda shared, cwl: {**shared, "cwl": cwl}, FOR_STEPS, MEMBERS)
STEPS = st.sampled_from(["align", "prepare.align", "sort"])


def job_variables(*layers: dict[str, Any], template: dict[str, Any] | None = None) -> JobVariables:
    found = tuple(Layer(origin=origin, variables=each) for origin, each in zip(ORIGINS, layers, strict=False))
    return JobVariables(template=template or packaged_template("docker"), layers=found)


def values(*layers: dict[str, Any], step: str = "align") -> dict[str, Any]:
    return job_variables(*layers).for_step(step).values


class TestAlgebra:
    @given(st.lists(VARIABLES, max_size=3), STEPS)
    def test_a_value_is_that_of_the_strongest_layer_that_has_it(self, layers: list[dict[str, Any]], step: str) -> None:
        ranked: list[dict[str, Any]] = [{k: v for k, v in layer.items() if not owned(k)} for layer in layers]
        ranked += [{k: v for k, v in layer["cwl"].items() if k != "steps"} for layer in layers]
        for layer in layers:
            fitting = [pattern for pattern in layer["cwl"]["steps"] if fnmatchcase(step, pattern)]
            ranked += [layer["cwl"]["steps"][pattern] for pattern in sorted(fitting, key=specificity)]
        expected = {name: value for rank in ranked for name, value in rank.items() if name not in ("cwl", "env")}
        found = values(*layers, step=step)
        assert {name: value for name, value in found.items() if name != "env"} == expected

    @given(st.lists(VARIABLES, max_size=3), VARIABLES, STEPS)
    def test_an_empty_layer_and_the_same_layer_twice_change_nothing(
        self, layers: list[dict[str, Any]], more: dict[str, Any], step: str
    ) -> None:
        assert values(*layers[:2], {}, step=step) == values(*layers[:2], step=step)
        assert values(more, more, step=step) == values(more, step=step)

    @given(st.lists(VARIABLES, max_size=3), STEPS)
    def test_nothing_of_the_flow_run_s_own_container_is_taken_over(
        self, layers: list[dict[str, Any]], step: str
    ) -> None:
        bare = [{k: v for k, v in layer.items() if k != "cwl"} for layer in layers]
        assert not [name for name in values(*bare, step=step) if owned(name)]

    @given(st.lists(VARIABLES, max_size=3), STEPS)
    def test_merging_changes_no_argument(self, layers: list[dict[str, Any]], step: str) -> None:
        before = repr(layers)
        values(*layers, step=step)
        assert repr(layers) == before

    @given(st.lists(ENVIRONMENTS, min_size=1, max_size=3))
    def test_environments_are_merged_by_name(self, environments: list[dict[str, str]]) -> None:
        expected = {name: value for each in environments for name, value in each.items()}
        assert values(*({"cwl": {"env": each}} for each in environments))["env"] == expected

    @given(st.dictionaries(st.text(min_size=1), st.one_of(st.none(), st.text())))
    def test_no_tool_sees_a_variable_of_the_flow_run(self, environment: dict[str, str | None]) -> None:
        given = {**environment, "PREFECT_API_KEY": "x", "prefect_api_key": "x", "CWL_PREFECT_HOME": "x"}
        assert not [name for name in tool_environment(given) if name.upper().startswith(FLOW_RUN_PREFIXES)]

    @given(STEPS, st.lists(st.integers(0, 99), min_size=1, max_size=3))
    def test_indexes_make_no_difference(self, step: str, index: list[int]) -> None:
        assert without_indices(".".join(call_name(part, index) for part in step.split("."))) == step


def specificity(pattern: str) -> tuple[bool, int, str]:
    literal = pattern.replace("*", "").replace("?", "")
    return literal == pattern, len(literal), pattern


class TestOverrides:
    def test_the_pattern_that_says_more_is_stronger_whatever_the_order(self) -> None:
        steps = {
            "align": {"networks": ["exact"]},
            "*": {"networks": ["any"], "privileged": True},
            "al*": {"labels": {}},
        }
        assert values({"cwl": {"steps": steps}}) == {"networks": ["exact"], "privileged": True, "labels": {}}

    def test_the_pool_s_own_are_weakest(self) -> None:
        template: dict[str, Any] = packaged_template("docker")
        template["variables"]["properties"]["cwl"]["default"] = {
            "networks": ["pool"],
            "steps": {"align": {"network_mode": "pool", "privileged": True}},
        }
        found = job_variables({"cwl": {"steps": {"*": {"network_mode": "deployment"}}}}, template=template)
        assert found.for_step("align").values == {
            "networks": ["pool"],
            "network_mode": "deployment",
            "privileged": True,
        }

    def test_what_says_something_about_the_tool_is_no_job_variable(self) -> None:
        override = {"image": "bwa:2", "resources": {"cores": 4, "ram": "8G"}, "env": {"A": "1"}, "networks": ["n"]}
        found = job_variables({"cwl": {"steps": {"align": override}}})
        assert found.for_step("align").values == {"networks": ["n"]}
        tool = found.tool_override("align[3]")
        assert (tool.image, tool.resources.cores, tool.resources.ram, tool.env) == ("bwa:2", 4, 8192, {"A": "1"})

    def test_resources_and_environment_are_merged_by_member(self) -> None:
        found = job_variables(
            {"cwl": {"steps": {"*": {"resources": {"cores": 1, "ram": 100}, "env": {"A": "1", "B": "1"}}}}},
            {"cwl": {"steps": {"al*": {"resources": {"ram": 200}, "env": {"B": "2"}}}}},
        ).tool_override("align")
        assert (found.resources.cores, found.resources.ram, found.env) == (1, 200, {"A": "1", "B": "2"})

    def test_steps_with_the_same_overrides_have_the_same_patterns(self) -> None:
        found = job_variables({"cwl": {"steps": {"a*": {"networks": ["x"]}, "b": {"image": "i"}}}})
        assert found.for_step("a1").patterns == found.for_step("a2").patterns != ()
        assert found.for_step("b").patterns == ()


class TestChecks:
    def checked(self, *layers: dict[str, Any], pool_type: str = "docker") -> JobVariables:
        found = job_variables(*layers, template=packaged_template(pool_type))
        check_job_variables(found, pool_type=pool_type, steps=["prepare.align", "sort"])
        return found

    @pytest.mark.parametrize(
        ("cwl", "said"),
        [
            pytest.param("x", "must be a mapping", id="no-mapping"),
            pytest.param({"steps": ["x"]}, "must be a mapping", id="steps-no-mapping"),
            pytest.param(
                {"steps": {"sort": "x"}}, "must map the name of a step to a mapping", id="override-no-mapping"
            ),
            pytest.param({"netwroks": []}, "netwroks is no job variable.*did you mean networks", id="name"),
            pytest.param(
                {"steps": {"sort": {"vollumes": []}}}, "'sort': vollumes is no .*mean volumes", id="name-of-step"
            ),
            pytest.param({"steps": {"sort": {"node_selector": {}}}}, "node_selector is no job variable", id="not-here"),
            pytest.param({"image": "x"}, "steps decide their image themselves.*by step", id="image-of-all"),
            pytest.param({"steps": {"sort": {"command": "x"}}}, "decide their command", id="command"),
            pytest.param({"steps": {"sorte": {}}}, "'sorte' fits no step.*did you mean sort", id="pattern"),
            pytest.param({"steps": {"prepare[0].align": {}}}, "fits no step", id="index"),
            pytest.param(
                {"steps": {"sort": {"resources": {"ram": "many"}}}}, "sort.resources.ram: is no size", id="size"
            ),
            pytest.param({"steps": {"sort": {"resources": {"cpus": 1}}}}, "sort.resources.cpus", id="resource"),
            pytest.param({"steps": {"sort": {"env": {"A": 1}}}}, "sort.env.A", id="env"),
        ],
    )
    def test_what_is_wrong_is_refused_and_says_who_gave_it(self, cwl: object, said: str) -> None:
        with pytest.raises(UsageError, match=f"(?s)^deployment: .*{said}"):
            self.checked({"cwl": cwl})

    @pytest.mark.parametrize(
        ("pattern", "fitting"),
        [
            ("sort", {"sort"}),
            ("*", {"sort", "prepare.align"}),
            ("*.align", {"prepare.align"}),
            ("prepare.*", {"prepare.align"}),
            ("?ort", {"sort"}),
        ],
    )
    def test_what_is_right_is_accepted_and_reaches_its_steps(self, pattern: str, fitting: set[str]) -> None:
        found = self.checked(
            {"networks": [], "cwl": {"env": {}, "volumes": [], "steps": {pattern: {"image": "x"}}}}, {}, {"a": 1}
        )
        assert {step for step in ("sort", "prepare.align") if found.tool_override(step).image == "x"} == fitting

    def test_a_pool_may_speak_of_steps_of_other_workflows(self) -> None:
        template: dict[str, Any] = packaged_template("docker")
        elsewhere = {"steps": {"elsewhere": {"image": "x"}}}
        template["variables"]["properties"]["cwl"]["default"] = elsewhere
        found = job_variables(template=template)
        check_job_variables(found, pool_type="docker", steps=["sort"])
        assert found.tool_override("elsewhere").image == "x"
        assert found.tool_override("sort").image is None
        with pytest.raises(UsageError, match="'elsewhere' fits no step"):
            self.checked({"cwl": elsewhere})

    def test_prefect_s_own_kubernetes_template_takes_selectors_and_tolerations(self) -> None:
        from prefect_kubernetes.worker import KubernetesWorker

        override = {"node_selector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}]}
        found = job_variables(
            {"cwl": {"steps": {"sort": override}}}, template=KubernetesWorker.get_default_base_job_template()
        )
        check_job_variables(found, pool_type="kubernetes", steps=["sort"])
        assert found.for_step("sort").values == override


class TestVariablesOfFlowRuns:
    def test_nothing_for_steps_alone_is_theirs(self) -> None:
        found = job_variables({"networks": ["shared"], "cwl": {"networks": ["own"], "privileged": True}})
        assert found.for_flow_run().values == {"networks": ["shared"]}
        assert found.for_step("align").values == {"networks": ["own"], "privileged": True}

    @pytest.mark.parametrize(
        ("pool_type", "name", "said"),
        [
            pytest.param("docker", "volume", "volume is no .* of this docker pool.*did you mean volumes", id="near"),
            pytest.param(
                "process", "zzz", "of this process pool.*there are: command, cwl, env, labels", id="none-near"
            ),
            pytest.param("process", "image", "image is no job variable", id="of-another-type"),
        ],
    )
    def test_a_name_that_nothing_takes_is_refused(self, pool_type: str, name: str, said: str) -> None:
        with pytest.raises(UsageError, match=f"(?s){said}"):
            check_flow_run_variables({name: 1}, packaged_template(pool_type), pool_type=pool_type)

    @pytest.mark.parametrize("name", ["site", "queue", "env", "env.LICENSE", "cwl"])
    def test_variables_and_placeholders_of_a_pool_of_any_type_are_accepted(self, name: str) -> None:
        template: dict[str, Any] = {
            "job_configuration": {"args": ["--queue={{ queue }}", {"key": "{{ prefect.blocks.secret.key }}"}]},
            "variables": {"properties": {"site": {"type": "string"}}},
        }
        check_flow_run_variables({name: 1}, template, pool_type="own")
        with pytest.raises(UsageError, match="prefect is no job variable"):
            check_flow_run_variables({"prefect": 1}, template, pool_type="own")

    def test_nothing_is_known_about_a_pool_without_a_template(self) -> None:
        check_flow_run_variables({"any": 1}, {}, pool_type="own")
        with pytest.raises(UsageError, match="any is no job variable"):
            check_flow_run_variables({"any": 1}, packaged_template("docker"), pool_type="own")


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("AWS_SECRET_ACCESS_KEY", True),
        ("AWS_ACCESS_KEY_ID", True),
        ("GITHUB_TOKEN", True),
        ("token", True),
        ("DB_PASSWORD", True),
        ("PGPASSWORD", True),
        ("OPENAI_API_KEY", True),
        ("GOOGLE_APPLICATION_CREDENTIALS", True),
        ("AZURE_STORAGE_SAS", True),
        ("HTTP_PROXY", False),
        ("KEYBOARD", False),
        ("AUTHOR", False),
        ("PATH", False),
        ("SORT_KEY", False),
    ],
)
def test_credentials_are_told_by_their_names(name: str, secret: bool) -> None:
    assert looks_secret(name) is secret


def test_templates_are_part_of_the_wheel() -> None:
    project = Path(__file__).parents[4]
    targets = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]
    assert targets["wheel"]["force-include"]["templates"] == "cwl_prefect/templates"
    assert {path.stem for path in (project / "templates").glob("*.json")} == {"docker", "kubernetes", "process"}
