import asyncio

import pytest
from prefect import State

from cwl_prefect.engine.scheduling.scheduler import ResourcePool
from cwl_prefect.errors import CwlPrefectError, ExpressionError, InputError, ResourceError, StepError
from cwl_prefect.model.events import StepEventKind
from cwl_prefect.settings import Keep, OnError
from tests.unit.flows.driving import PlainTasks, drive, graph, subworkflow
from tests.waiting import eventually

PLANNED, STARTED, SUCCEEDED, SKIPPED, FAILED, RETRYING = (
    StepEventKind.PLANNED,
    StepEventKind.STARTED,
    StepEventKind.SUCCEEDED,
    StepEventKind.SKIPPED,
    StepEventKind.FAILED,
    StepEventKind.RETRYING,
)

CHAIN = graph("""
    inputs: {n: string}
    outputs: {r: {type: string, outputSource: c/o}}
    steps:
      c: {run: '#say', in: {x: b/o}, out: [o]}
      b: {run: '#say', in: {x: a/o}, out: [o]}
      a: {run: '#say', in: {x: n}, out: [o]}
    """)

DIAMOND = graph("""
    inputs: {n: string, m: string}
    outputs: {r: {type: string?, outputSource: end/o}, left: {type: string?, outputSource: left/o}}
    steps:
      begin: {run: '#say', in: {x: n}, out: [o]}
      left: {run: '#say', in: {x: begin/o}, out: [o]}
      right: {run: '#say', in: {x: m, after: begin/o}, out: [o]}
      end: {run: '#join', in: {x: left/o, y: right/o}, out: [o]}
    """)


def scattered(method: str | None = None, tool: str = "join") -> str:
    how = f"scatterMethod: {method}, scatter: [x, y]" if method else "scatter: x"
    inputs = "{x: xs, y: ys}" if tool == "join" else "{x: xs}"
    return graph(f"""
        inputs: {{xs: 'string[]', ys: 'Any?'}}
        outputs: {{r: {{type: Any, outputSource: each/o}}}}
        steps:
          each: {{run: '#{tool}', {how}, in: {inputs}, out: [o]}}
        """)


class TestOrder:
    async def test_a_chain_hands_values_on(self, tmp_path):
        run = drive(tmp_path, CHAIN)
        assert await run(n="hi") == {"r": "hi"}
        assert run.tasks.labels == ["a", "b", "c"]

    async def test_a_diamond_joins_both_ways(self, tmp_path):
        run = drive(tmp_path, DIAMOND)
        assert await run(n="one", m="two") == {"r": "one two", "left": "one"}

    async def test_independent_steps_run_at_once(self, tmp_path):
        run = drive(tmp_path, DIAMOND)
        await run(n="one", m="two")
        assert run.player.most == 2

    async def test_edges_follow_the_links(self, tmp_path):
        run = drive(tmp_path, DIAMOND)
        await run(n="one", m="two")
        assert run.tasks.after == {"begin": [], "left": ["begin"], "right": ["begin"], "end": ["left", "right"]}

    async def test_a_step_does_not_wait_for_what_it_does_not_use(self, tmp_path):
        document = graph("""
            inputs: {n: string}
            outputs: {}
            steps:
              stuck: {run: '#say', in: {x: {default: slow}}, out: [o]}
              a: {run: '#say', in: {x: n}, out: [o]}
              b: {run: '#say', in: {x: a/o}, out: [o]}
            """)
        run = drive(tmp_path, document)
        running = asyncio.create_task(run(n="hi"))
        async with asyncio.timeout(10):
            while run.told("b") != [STARTED, SUCCEEDED]:
                await asyncio.sleep(0.005)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert run.player.cancelled == ["stuck"]

    async def test_events_come_in_order(self, tmp_path):
        run = drive(tmp_path, CHAIN)
        await run(n="hi")
        assert [(event.kind, event.step) for event in run.events] == [
            (kind, step) for step in "abc" for kind in (PLANNED, STARTED, SUCCEEDED)
        ]

    async def test_a_workflow_without_steps_passes_values_on(self, tmp_path):
        run = drive(
            tmp_path,
            graph("inputs: {n: Any}\noutputs: {r: {type: Any, outputSource: n}}\nsteps: []"),
        )
        assert await run(n={"a": [1]}) == {"r": {"a": [1]}}


class TestLinks:
    async def test_a_value_from_sees_all_inputs_of_its_step(self, tmp_path):
        run = drive(
            tmp_path,
            graph("""
            inputs: {n: string, k: int}
            outputs: {r: {type: string, outputSource: a/o}}
            steps:
              a: {run: '#say', in: {k: k, x: {source: n, valueFrom: "$(self + inputs.k)"}}, out: [o]}
            """),
        )
        assert await run(n="hi", k=5) == {"r": "hi5"}

    async def test_several_sources_are_merged(self, tmp_path):
        run = drive(
            tmp_path,
            graph("""
            inputs: {n: string, l: 'string[]'}
            outputs: {r: {type: string, outputSource: a/o}}
            steps:
              a: {run: '#all', in: {x: {source: [n, l], linkMerge: merge_flattened}}, out: [o]}
            """),
        )
        assert await run(n="a", l=["b", "c"]) == {"r": "a b c"}

    async def test_a_failing_expression_names_its_step(self, tmp_path):
        run = drive(
            tmp_path,
            graph("""
            inputs: {n: string}
            outputs: {}
            steps:
              a: {run: '#say', in: {x: {source: n, valueFrom: '${throw "no luck";}'}}, out: [o]}
            """),
        )
        with pytest.raises(ExpressionError, match=r"a: .*no luck"):
            await run(n="hi")

    async def test_an_unmet_pick_value_names_the_output(self, tmp_path):
        run = drive(
            tmp_path,
            graph("""
            inputs: {n: 'string?', m: 'string?'}
            outputs: {r: {type: string, outputSource: [n, m], pickValue: first_non_null}}
            steps: []
            """),
        )
        with pytest.raises(InputError, match="'r'"):
            await run()


class TestScatter:
    @pytest.mark.parametrize(
        ("method", "values", "outputs"),
        [
            pytest.param("dotproduct", (["a", "b"], ["1", "2"]), ["a 1", "b 2"], id="dotproduct"),
            pytest.param(
                "flat_crossproduct", (["a", "b"], ["1", "2"]), ["a 1", "a 2", "b 1", "b 2"], id="flat-crossproduct"
            ),
            pytest.param(
                "nested_crossproduct",
                (["a", "b"], ["1", "2"]),
                [["a 1", "a 2"], ["b 1", "b 2"]],
                id="nested-crossproduct",
            ),
            pytest.param("dotproduct", ([], []), [], id="empty-dotproduct"),
            pytest.param("flat_crossproduct", (["a"], []), [], id="empty-flat-crossproduct"),
            pytest.param("nested_crossproduct", (["a", "b"], []), [[], []], id="empty-inner-arrays"),
            pytest.param("nested_crossproduct", ([], ["1"]), [], id="empty-outer-array"),
        ],
    )
    async def test_outputs_stand_where_their_inputs_stood(self, tmp_path, method, values, outputs):
        run = drive(tmp_path, scattered(method))
        assert await run(xs=values[0], ys=values[1]) == {"r": outputs}

    async def test_a_port_alone_is_scattered(self, tmp_path):
        run = drive(tmp_path, scattered(tool="say"))
        assert await run(xs=["a", "b", "c"]) == {"r": ["a", "b", "c"]}

    @pytest.mark.parametrize(
        ("method", "labels"),
        [("dotproduct", ["each[0]", "each[1]"]), ("nested_crossproduct", ["each[0,0]", "each[0,1]"])],
    )
    async def test_calls_are_named_after_their_places(self, tmp_path, method, labels):
        run = drive(tmp_path, scattered(method))
        xs = ["a"] if "nested" in method else ["a", "b"]
        await run(xs=xs, ys=["1", "2"])
        assert sorted(run.tasks.labels) == labels

    async def test_the_number_of_calls_is_told_first(self, tmp_path):
        run = drive(tmp_path, scattered(tool="say"))
        await run(xs=["a", "b", "c"])
        assert (run.events[0].kind, run.events[0].count) == (PLANNED, 3)

    async def test_calls_run_at_once(self, tmp_path):
        run = drive(tmp_path, scattered(tool="say"))
        await run(xs=[str(number) for number in range(20)])
        assert run.player.most > 1

    async def test_no_more_calls_are_in_hand_than_the_settings_allow(self, tmp_path):
        run = drive(tmp_path, scattered(tool="say"), max_calls=3)
        await run(xs=[str(number) for number in range(20)])
        assert run.player.most == 3

    async def test_arrays_of_unequal_lengths_are_refused(self, tmp_path):
        with pytest.raises(InputError, match="equal length"):
            await drive(tmp_path, scattered("dotproduct"))(xs=["a"], ys=["1", "2"])

    async def test_value_from_is_evaluated_for_each_element(self, tmp_path):
        run = drive(
            tmp_path,
            graph("""
            inputs: {xs: 'string[]'}
            outputs: {r: {type: 'string[]', outputSource: each/o}}
            steps:
              each:
                run: '#say'
                scatter: x
                in: {x: {source: xs, valueFrom: $(self)$(inputs.y)}, y: {default: '!'}}
                out: [o]
            """),
        )
        assert await run(xs=["a", "b"]) == {"r": ["a!", "b!"]}

    async def test_a_scatter_feeds_the_next_one(self, tmp_path):
        run = drive(
            tmp_path,
            graph("""
            inputs: {xs: 'string[]'}
            outputs: {r: {type: 'string[]', outputSource: two/o}}
            steps:
              one: {run: '#say', scatter: x, in: {x: xs}, out: [o]}
              two: {run: '#say', scatter: x, in: {x: one/o}, out: [o]}
            """),
        )
        assert await run(xs=["a", "b"]) == {"r": ["a", "b"]}
        assert run.tasks.after["two[0]"] == ["one[0]", "one[1]"]


INNER = subworkflow(
    "inner",
    """
    inputs: {t: string, u: {type: string, default: d}}
    outputs: {r: {type: string, outputSource: two/o}}
    steps:
      one: {run: '#say', in: {x: t}, out: [o]}
      two: {run: '#join', in: {x: one/o, y: u}, out: [o]}
    """,
)


class TestSubworkflows:
    async def test_steps_within_are_named_after_their_path(self, tmp_path):
        run = drive(
            tmp_path,
            graph(
                """
            inputs: {n: string}
            outputs: {r: {type: string, outputSource: prepare/r}}
            steps:
              prepare: {run: '#inner', in: {t: n}, out: [r]}
            """,
                INNER,
            ),
        )
        assert await run(n="hi") == {"r": "hi d"}
        assert run.tasks.labels == ["prepare.one", "prepare.two"]
        assert run.told("prepare") == [STARTED, SUCCEEDED]

    async def test_a_scatter_runs_each_by_itself(self, tmp_path):
        run = drive(
            tmp_path,
            graph(
                """
            inputs: {ns: 'string[]'}
            outputs: {r: {type: 'string[]', outputSource: prepare/r}}
            steps:
              prepare: {run: '#inner', scatter: t, in: {t: ns}, out: [r]}
            """,
                INNER,
            ),
        )
        assert await run(ns=["a", "b"]) == {"r": ["a d", "b d"]}
        assert sorted(run.tasks.labels) == ["prepare[0].one", "prepare[0].two", "prepare[1].one", "prepare[1].two"]
        assert run.planned()["prepare"] == 2

    async def test_scatters_within_scatters_keep_all_places(self, tmp_path):
        outer = subworkflow(
            "outer",
            """
            inputs: {ts: 'string[]'}
            outputs: {r: {type: 'string[]', outputSource: each/o}}
            steps:
              each: {run: '#say', scatter: x, in: {x: ts}, out: [o]}
            """,
        )
        run = drive(
            tmp_path,
            graph(
                """
            inputs: {ns: Any}
            outputs: {r: {type: Any, outputSource: outer/r}}
            steps:
              outer: {run: '#outer', scatter: ts, in: {ts: ns}, out: [r]}
            """,
                outer,
            ),
        )
        assert await run(ns=[["a", "b"], ["c"], []]) == {"r": [["a", "b"], ["c"], []]}
        assert "outer[0].each[1]" in run.tasks.labels

    async def test_edges_lead_through_it(self, tmp_path):
        run = drive(
            tmp_path,
            graph(
                """
            inputs: {n: string}
            outputs: {r: {type: string, outputSource: last/o}}
            steps:
              first: {run: '#say', in: {x: n}, out: [o]}
              prepare: {run: '#inner', in: {t: first/o}, out: [r]}
              last: {run: '#say', in: {x: prepare/r}, out: [o]}
            """,
                INNER,
            ),
        )
        await run(n="hi")
        assert run.tasks.after["prepare.one"] == ["first"]
        assert run.tasks.after["last"] == ["prepare.two"]

    async def test_a_failure_within_is_told_of_both(self, tmp_path):
        run = drive(
            tmp_path,
            graph(
                """
            inputs: {n: string}
            outputs: {}
            steps:
              prepare: {run: '#inner', in: {t: n}, out: [r]}
            """,
                INNER,
            ),
        )
        with pytest.raises(StepError) as found:
            await run(n="fail")
        assert found.value.step == "prepare.one"
        assert run.told("prepare.one") == [STARTED, FAILED]
        assert run.told("prepare") == [STARTED, FAILED]


class TestWhen:
    def document(self, pick: str, result: str = "string?") -> str:
        return graph(f"""
            inputs: {{a: boolean, b: boolean, n: {{type: string, default: in}}}}
            outputs: {{r: {{type: '{result}', outputSource: [one/o, two/o], pickValue: {pick}}}}}
            steps:
              one: {{run: '#say', when: $(inputs.run), in: {{run: a, x: {{default: '1'}}}}, out: [o]}}
              two: {{run: '#say', when: $(inputs.run), in: {{run: b, x: {{default: '2'}}}}, out: [o]}}
            """)

    @pytest.mark.parametrize(
        ("pick", "a", "b", "result"),
        [
            ("first_non_null", True, True, "1"),
            ("first_non_null", False, True, "2"),
            ("the_only_non_null", False, True, "2"),
            ("all_non_null", True, True, ["1", "2"]),
            ("all_non_null", False, True, ["2"]),
            ("all_non_null", False, False, []),
        ],
    )
    async def test_what_ran_is_picked(self, tmp_path, pick, a, b, result):
        run = drive(tmp_path, self.document(pick, "string[]" if pick == "all_non_null" else "string?"))
        assert await run(a=a, b=b) == {"r": result}

    @pytest.mark.parametrize(("pick", "a", "b"), [("first_non_null", False, False), ("the_only_non_null", True, True)])
    async def test_what_cannot_be_picked_is_an_error(self, tmp_path, pick, a, b):
        with pytest.raises(InputError, match=pick):
            await drive(tmp_path, self.document(pick))(a=a, b=b)

    async def test_a_skipped_step_is_shown_and_runs_nothing(self, tmp_path):
        run = drive(tmp_path, self.document("first_non_null"))
        await run(a=False, b=True)
        assert run.tasks.skipped == ["one"]
        assert run.told("one") == [SKIPPED]
        assert len(run.player.commands) == 1

    async def test_elements_of_a_scatter_are_skipped_one_by_one(self, tmp_path):
        run = drive(
            tmp_path,
            graph("""
            inputs: {xs: 'string[]'}
            outputs: {r: {type: Any, outputSource: each/o}}
            steps:
              each: {run: '#say', when: $(inputs.x != "b"), scatter: x, in: {x: xs}, out: [o]}
            """),
        )
        assert await run(xs=["a", "b", "c"]) == {"r": ["a", None, "c"]}
        assert run.tasks.skipped == ["each[1]"]

    async def test_a_condition_that_is_neither_true_nor_false_is_an_error(self, tmp_path):
        document = self.document("first_non_null").replace("$(inputs.run)", "$(5)")
        with pytest.raises(ExpressionError, match="true or false"):
            await drive(tmp_path, document)(a=True, b=True)

    async def test_a_subworkflow_can_be_skipped(self, tmp_path):
        run = drive(
            tmp_path,
            graph(
                """
            inputs: {n: string}
            outputs: {r: {type: 'string?', outputSource: prepare/r}}
            steps:
              prepare: {run: '#inner', when: $(false), in: {t: n}, out: [r]}
            """,
                INNER,
            ),
        )
        assert await run(n="hi") == {"r": None}
        assert run.tasks.runs == []


class TestLoops:
    def document(self, method: str, condition: str = "$(inputs.x.length < 3)", run: str = "say", out: str = "o") -> str:
        return graph(
            f"""
            inputs: {{n: string}}
            outputs: {{r: {{type: Any, outputSource: grow/{out}}}}}
            steps:
              grow:
                run: '#{run}'
                when: {condition}
                loop: {{{"x" if run == "say" else "t"}: {{outputSource: {out}, valueFrom: $(self + "+")}}}}
                outputMethod: {method}
                in: {{{"x" if run == "say" else "t"}: n}}
                out: [{out}]
            """,
            INNER,
        ).replace("cwlVersion: v1.2", "cwlVersion: v1.3.0-dev1")

    async def test_the_last_iteration_is_given(self, tmp_path):
        run = drive(tmp_path, self.document("last_iteration"))
        assert await run(n="a") == {"r": "a+"}
        assert run.tasks.labels == ["grow[0]", "grow[1]"]

    async def test_all_iterations_are_given(self, tmp_path):
        assert await drive(tmp_path, self.document("all_iterations"))(n="a") == {"r": ["a", "a+"]}

    @pytest.mark.parametrize(("method", "result"), [("last_iteration", None), ("all_iterations", [])])
    async def test_a_loop_may_never_begin(self, tmp_path, method, result):
        run = drive(tmp_path, self.document(method, "$(false)"))
        assert await run(n="a") == {"r": result}
        assert run.tasks.runs == []

    async def test_the_number_of_iterations_grows_as_they_are_known(self, tmp_path):
        run = drive(tmp_path, self.document("last_iteration"))
        await run(n="a")
        assert [event.count for event in run.events if event.kind is PLANNED] == [1, 2]

    async def test_a_subworkflow_can_loop(self, tmp_path):
        document = self.document("last_iteration", "$(inputs.t.length < 5)", run="inner", out="r")
        assert await drive(tmp_path, document)(n="a") == {"r": "a d+ d"}

    async def test_a_failing_iteration_fails_the_step(self, tmp_path):
        with pytest.raises(StepError) as found:
            await drive(tmp_path, self.document("last_iteration", "$(true)"))(n="fail")
        assert found.value.step == "grow[0]"


class TestStopping:
    async def test_a_failure_says_what_happened(self, tmp_path):
        with pytest.raises(StepError, match="it went wrong") as found:
            await drive(tmp_path, CHAIN)(n="fail")
        assert (found.value.step, found.value.exit_status) == ("a", 1)

    async def test_nothing_after_it_runs(self, tmp_path):
        run = drive(tmp_path, CHAIN)
        with pytest.raises(StepError):
            await run(n="fail")
        assert run.tasks.labels == ["a"]
        assert run.told("a") == [STARTED, FAILED]

    async def test_others_are_cancelled(self, tmp_path):
        run = drive(tmp_path, scattered(tool="say"))
        with pytest.raises(StepError):
            await run(xs=["slow", "slow", "fail"])
        assert sorted(run.player.cancelled) == ["each[0]", "each[1]"]
        assert run.player.running == 0

    async def test_other_steps_are_cancelled(self, tmp_path):
        document = graph("""
            inputs: {}
            outputs: {}
            steps:
              slow: {run: '#say', in: {x: {default: slow}}, out: [o]}
              bad: {run: '#say', in: {x: {default: fail}}, out: [o]}
            """)
        run = drive(tmp_path, document)
        with pytest.raises(StepError):
            await run()
        assert run.player.cancelled == ["slow"]

    async def test_a_cancelled_run_leaves_nothing_running(self, tmp_path):
        run = drive(tmp_path, scattered(tool="say"), group_threshold=2, group_size=2)
        running = asyncio.create_task(run(xs=["slow"] * 6))
        async with asyncio.timeout(10):
            while run.player.running < 2:
                await asyncio.sleep(0.005)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert run.player.running == 0

    @pytest.mark.parametrize("threshold", [1, 100], ids=["in groups", "alone"])
    async def test_what_a_failed_call_held_starts_nothing_before_the_failure_is_told(self, tmp_path, threshold):
        class TellingLate(PlainTasks):
            async def run(self, *given) -> tuple[object, State]:
                try:
                    return await super().run(*given)
                except CwlPrefectError:
                    await asyncio.sleep(0.05)  # Prefect tells its API first
                    raise

        pool = ResourcePool(cores=1, ram_mib=10_000_000)
        run = drive(tmp_path, scattered(tool="say"), pool=pool, group_threshold=threshold)
        run.tasks = TellingLate()
        with pytest.raises(StepError, match="it went wrong"):
            await run(xs=["fail"] * 3)
        assert len(run.player.commands) == 1


class TestContinuing:
    async def test_what_does_not_depend_on_a_failure_is_done(self, tmp_path):
        run = drive(tmp_path, DIAMOND, on_error=OnError.CONTINUE)
        assert await run(n="ok", m="fail") == {"r": None, "left": "ok"}
        assert run.errors == ["right"]
        assert "end" not in run.tasks.labels

    async def test_every_failure_is_kept(self, tmp_path):
        run = drive(tmp_path, scattered(tool="say"), on_error=OnError.CONTINUE)
        assert await run(xs=["a", "fail", "b", "fail"]) == {"r": ["a", None, "b", None]}
        assert run.errors == ["each[1]", "each[3]"]
        assert len(run.player.commands) == 4

    async def test_every_failure_of_a_wide_scatter_is_kept(self, tmp_path):
        run = drive(tmp_path, scattered(tool="say"), on_error=OnError.CONTINUE, group_threshold=2, group_size=2)
        assert await run(xs=["a", "fail", "b", "fail", "fail"]) == {"r": ["a", None, "b", None, None]}
        assert run.errors == ["each[1]", "each[3]", "each[4]"]

    async def test_a_failure_within_a_subworkflow_stops_what_depends_on_it(self, tmp_path):
        run = drive(
            tmp_path,
            graph(
                """
            inputs: {n: string}
            outputs: {r: {type: 'string?', outputSource: last/o}, p: {type: 'string?', outputSource: prepare/r}}
            steps:
              prepare: {run: '#inner', in: {t: n}, out: [r]}
              last: {run: '#say', in: {x: prepare/r}, out: [o]}
            """,
                INNER,
            ),
            on_error=OnError.CONTINUE,
        )
        assert await run(n="fail") == {"r": None, "p": None}
        assert run.errors == ["prepare.one"]
        assert run.told("prepare") == [STARTED, FAILED]
        assert run.tasks.labels == ["prepare.one"]

    PARTS = subworkflow(
        "parts",
        """
        inputs: {t: string}
        outputs: {good: {type: 'string?', outputSource: one/o}, bad: {type: 'string?', outputSource: two/o}}
        steps:
          one: {run: '#say', in: {x: t}, out: [o]}
          two: {run: '#say', in: {x: {default: fail}}, out: [o]}
        """,
    )

    async def test_what_a_failed_subworkflow_could_still_give_is_given(self, tmp_path):
        document = graph(
            """
            inputs: {n: string}
            outputs:
              good: {type: 'string?', outputSource: parts/good}
              bad: {type: 'string?', outputSource: parts/bad}
              last: {type: 'string?', outputSource: last/o}
            steps:
              parts: {run: '#parts', in: {t: n}, out: [good, bad]}
              last: {run: '#say', in: {x: parts/good}, out: [o]}
            """,
            self.PARTS,
        )
        run = drive(tmp_path, document, on_error=OnError.CONTINUE)
        assert await run(n="hi") == {"good": "hi", "bad": None, "last": None}
        assert run.errors == ["parts.two"]

    @pytest.mark.parametrize("threshold", [1, 100], ids=["grouped", "one-by-one"])
    async def test_every_failure_within_scattered_subworkflows_is_kept(self, tmp_path, threshold):
        document = graph(
            """
            inputs: {ns: 'string[]'}
            outputs: {r: {type: Any, outputSource: parts/good}, s: {type: Any, outputSource: parts/bad}}
            steps:
              parts: {run: '#parts', scatter: t, in: {t: ns}, out: [good, bad]}
            """,
            self.PARTS,
        )
        run = drive(tmp_path, document, on_error=OnError.CONTINUE, group_threshold=threshold)
        assert await run(ns=["a", "b"]) == {"r": ["a", "b"], "s": [None, None]}
        assert sorted(run.errors) == ["parts[0].two", "parts[1].two"]

    async def test_failures_are_known_before_the_others_end(self, tmp_path):
        document = graph(
            """
            inputs: {n: string, m: string}
            outputs: {r: {type: string?, outputSource: one/o}, s: {type: string?, outputSource: two/o}}
            steps:
              one: {run: '#say', in: {x: n}, out: [o]}
              two: {run: '#say', in: {x: m}, out: [o]}
            """
        )
        run = drive(tmp_path, document, on_error=OnError.CONTINUE)
        running = asyncio.create_task(run(n="slow", m="fail"))
        await eventually(lambda: run.errors != [])
        assert run.errors == ["two"]
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def test_a_nested_crossproduct_keeps_its_shape(self, tmp_path):
        document = graph(
            """
            inputs: {xs: 'string[]', ys: 'string[]'}
            outputs: {r: {type: Any, outputSource: each/o}}
            steps:
              each: {run: '#join', scatter: [x, y], scatterMethod: nested_crossproduct, in: {x: xs, y: ys}, out: [o]}
            """
        )
        run = drive(tmp_path, document, on_error=OnError.CONTINUE)
        assert await run(xs=["a", "fail"], ys=["1", "2", "3"]) == {"r": [["a 1", "a 2", "a 3"], [None] * 3]}

    @pytest.mark.parametrize("threshold", [1, 100], ids=["grouped", "one-by-one"])
    async def test_a_scatter_within_a_subworkflow_gives_what_there_is(self, tmp_path, threshold):
        inner = subworkflow(
            "inner",
            """
            inputs: {ts: 'string[]'}
            outputs: {r: {type: 'string[]', outputSource: one/o}}
            steps:
              one: {run: '#say', scatter: x, in: {x: ts}, out: [o]}
            """,
        )
        document = graph(
            """
            inputs: {ns: 'string[]', ms: {type: {type: array, items: {type: array, items: string}}}}
            outputs: {r: {type: Any, outputSource: alone/r}, s: {type: Any, outputSource: many/r}}
            steps:
              alone: {run: '#inner', in: {ts: ns}, out: [r]}
              many: {run: '#inner', scatter: ts, in: {ts: ms}, out: [r]}
            """,
            inner,
        )
        run = drive(tmp_path, document, on_error=OnError.CONTINUE, group_threshold=threshold)
        found = await run(ns=["a", "fail"], ms=[["b"], ["fail", "c"]])
        assert found == {"r": ["a", None], "s": [["b"], [None, "c"]]}
        assert sorted(run.errors) == ["alone.one[1]", "many[1].one[0]"]

    async def test_what_depends_on_a_scatter_with_a_failure_does_not_run(self, tmp_path):
        document = graph(
            """
            inputs: {xs: 'string[]'}
            outputs: {r: {type: Any, outputSource: each/o}, s: {type: Any, outputSource: all/o}}
            steps:
              each: {run: '#say', scatter: x, in: {x: xs}, out: [o]}
              all: {run: '#all', in: {x: each/o}, out: [o]}
            """
        )
        run = drive(tmp_path, document, on_error=OnError.CONTINUE)
        assert await run(xs=["a", "fail"]) == {"r": ["a", None], "s": None}
        assert "all" not in run.tasks.labels

    async def test_elements_that_are_skipped_and_that_fail_are_null_alike(self, tmp_path):
        document = graph(
            """
            inputs: {xs: 'string[]'}
            outputs:
              r: {type: Any, outputSource: each/o}
              s: {type: Any, outputSource: each/o, pickValue: all_non_null}
            steps:
              each: {run: '#say', scatter: x, when: $(inputs.x != 'no'), in: {x: xs}, out: [o]}
            """
        )
        run = drive(tmp_path, document, on_error=OnError.CONTINUE)
        assert await run(xs=["a", "no", "fail", "b"]) == {"r": ["a", None, None, "b"], "s": ["a", "b"]}

    @pytest.mark.parametrize("scattered", [False, True], ids=["call", "scatter"])
    async def test_temporary_failures_within_grouped_subworkflows_are_tried_again(self, tmp_path, scattered):
        inner = subworkflow(
            "inner",
            f"""
            inputs: {{t: {"'string[]'" if scattered else "string"}}}
            outputs: {{r: {{type: Any, outputSource: one/o}}}}
            steps:
              one: {{run: '#say', {"scatter: x," if scattered else ""} in: {{x: t}}, out: [o]}}
            """,
        )
        document = graph(
            """
            inputs: {ns: Any}
            outputs: {r: {type: Any, outputSource: each/r}}
            steps:
              each: {run: '#inner', scatter: t, in: {t: ns}, out: [r]}
            """,
            inner,
        )
        given = [["a"], ["b", "temp"], ["fail"]] if scattered else ["a", "temp", "fail"]
        run = drive(tmp_path, document, on_error=OnError.CONTINUE, group_threshold=1, tries=3, temporary=2)
        assert await run(ns=given) == {"r": [*given[:2], [None] if scattered else None]}
        assert run.errors == ["each[2].one[0]" if scattered else "each[2].one"]

    async def test_a_step_whose_inputs_cannot_be_picked_fails_alone(self, tmp_path):
        document = graph("""
            inputs: {a: 'string?', b: 'string?', n: string}
            outputs: {r: {type: string, outputSource: good/o}, bad: {type: 'string?', outputSource: bad/o}}
            steps:
              bad: {run: '#say', in: {x: {source: [a, b], pickValue: first_non_null}}, out: [o]}
              good: {run: '#say', in: {x: n}, out: [o]}
            """)
        run = drive(tmp_path, document, on_error=OnError.CONTINUE)
        assert await run(n="hi") == {"r": "hi", "bad": None}
        assert len(run.errors) == 1


class TestRetrying:
    async def test_a_temporary_failure_is_tried_again(self, tmp_path):
        run = drive(tmp_path, CHAIN, tries=3, temporary=2)
        assert await run(n="temp") == {"r": "temp"}
        assert run.told("a") == [STARTED, RETRYING, RETRYING, SUCCEEDED]

    async def test_the_last_try_counts(self, tmp_path):
        run = drive(tmp_path, CHAIN, tries=2, temporary=2)
        with pytest.raises(StepError) as found:
            await run(n="temp")
        assert found.value.exit_status == 75

    async def test_any_other_failure_is_final(self, tmp_path):
        run = drive(tmp_path, CHAIN, tries=3)
        with pytest.raises(StepError):
            await run(n="fail")
        assert len(run.player.commands) == 1


class TestResources:
    async def test_no_more_run_than_fit(self, tmp_path):
        run = drive(tmp_path, scattered(tool="say"), pool=ResourcePool(cores=2, ram_mib=100_000))
        await run(xs=[str(number) for number in range(9)])
        assert run.player.most == 2

    async def test_a_call_larger_than_the_machine_is_refused(self, tmp_path):
        run = drive(tmp_path, CHAIN, pool=ResourcePool(cores=0.5, ram_mib=100_000))
        with pytest.raises(ResourceError, match="a asks for 1 cores"):
            await run(n="hi")
        assert run.player.commands == []

    @pytest.mark.parametrize("text", ["hi", "fail"])
    async def test_what_was_reserved_is_given_back(self, tmp_path, text):
        pool = ResourcePool(cores=1, ram_mib=256)
        run = drive(tmp_path, scattered(tool="say"), pool=pool, on_error=OnError.CONTINUE)
        await run(xs=[text, text])
        assert pool._free == pool._total

    async def test_a_cancelled_run_gives_back_too(self, tmp_path):
        pool = ResourcePool(cores=2, ram_mib=2560)
        run = drive(tmp_path, scattered(tool="say"), pool=pool)
        with pytest.raises(StepError):
            await run(xs=["slow", "fail", "slow", "slow"])
        assert pool._free == pool._total


class TestTurns:
    BESIDE = graph(
        """
        inputs: {xs: 'string[]'}
        outputs: {r: {type: 'string[]', outputSource: wide/o}, last: {type: string, outputSource: last/o}}
        steps:
          wide: {run: '#say', scatter: x, in: {x: xs}, out: [o]}
          first: {run: '#say', in: {x: {default: first}}, out: [o]}
          last: {run: '#say', in: {x: first/o}, out: [o]}
        """
    )

    async def test_a_wide_scatter_does_not_starve_what_comes_later(self, tmp_path):
        run = drive(tmp_path, self.BESIDE, max_calls=2, pool=ResourcePool(cores=1, ram_mib=100_000))
        await run(xs=[str(number) for number in range(40)])
        said = [command[-1] for command in run.player.commands]
        assert said[::-1].index("first") > 20  # both short steps end long before the scatter

    async def test_a_step_of_lower_priority_waits_for_all_others(self, tmp_path):
        run = drive(
            tmp_path,
            self.BESIDE,
            max_calls=1,
            pool=ResourcePool(cores=1, ram_mib=100_000),
            priorities={"wide": 1},
        )
        await run(xs=[str(number) for number in range(10)])
        said = [command[-1] for command in run.player.commands]
        assert said.count("first") == 2
        assert said[-1] == "first"


class TestPriorities:
    async def test_one_that_fits_no_step_is_told_with_the_steps_that_there_are(self, tmp_path, caplog):
        await drive(tmp_path, CHAIN, priorities={"a": 1, "d": 2})(n="hi")
        assert [record.getMessage() for record in caplog.records if "priorities" in record.getMessage()] == [
            "priorities: 'd' fits no step of flow; its steps are: a, b, c"
        ]


@pytest.mark.parametrize("keep", Keep)
@pytest.mark.parametrize("glob", [".", "./", "[.]", "$(runtime.outdir)"])
async def test_an_output_directory_has_one_name_wherever_it_lies(tmp_path, glob, keep):
    tool = f"""
- class: CommandLineTool
  id: whole
  inputs: {{x: {{type: string, inputBinding: {{}}}}}}
  outputs: {{o: {{type: Directory, outputBinding: {{glob: {glob}}}}}}}
  stdout: out.txt
  baseCommand: say
"""
    run = drive(tmp_path, scattered(tool="whole") + tool, keep=keep)
    found = await run(xs=["a", "b"])
    assert [(each["class"], each["basename"]) for each in found["r"]] == [("Directory", "out")] * 2
