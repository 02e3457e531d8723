"""The form of a deployment in the Prefect UI, filled by a browser as a person would."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.deployments.browser import documented, picture
from tests.deployments.site import ENDED, Site

pytestmark = pytest.mark.server

SURVEY = """\
cwlVersion: v1.2
class: CommandLineTool
label: Survey
requirements:
  InlineJavascriptRequirement: {}
  SchemaDefRequirement:
    types:
      - {name: Strand, type: enum, symbols: [forward, reverse]}
      - name: Sample
        type: record
        doc: What one tube holds
        fields:
          tube: {type: string, label: Tube, doc: As written on it}
          strand: {type: "#Strand", label: Strand}
inputs:
  name: {type: string, label: Your name, doc: What the greeting says}
  count: {type: int, label: How often, default: 3}
  ratio: {type: double?, label: Share, doc: Between 0 and 1}
  colour: {type: {type: enum, symbols: [red, green, blue]}, label: Colour, doc: One of three}
  sizes: {type: "int[]", label: Sizes}
  box:
    label: Box
    doc: Where things are
    type:
      type: record
      fields:
        width: {type: int, label: Width, doc: In metres}
        cover: {type: string?, label: Cover}
  control: {type: ["null", "#Sample"], label: Control, doc: Without treatment}
  samples: {type: {type: array, items: "#Sample"}, label: Samples}
  threshold: {type: [int, string], label: Threshold, doc: A number or a preset}
  note: {type: string?, label: Note}
  text: {type: File, label: Text, doc: What is counted}
baseCommand: [wc, -c]
stdin: $(inputs.text.path)
stdout: letters
outputs:
  letters:
    type: int
    outputBinding: {glob: letters, loadContents: true, outputEval: "$(parseInt(self[0].contents))"}
  given:
    type: Any
    outputBinding:
      outputEval: |
        $([inputs.name, inputs.count, inputs.ratio, inputs.colour, inputs.sizes, inputs.box, inputs.control,
           inputs.samples, inputs.threshold, inputs.note])
"""
SAMPLES = [{"tube": "A1", "strand": "reverse"}]
GIVEN = ["Ada", 4, 0.5, "green", [7, 11], {"width": 2, "cover": None}, None, SAMPLES, "strict", None]
TITLES = [
    "Your name", "How often (Optional)", "Share (Optional)", "Colour", "Sizes", "Box", "Width", "Cover (Optional)",
    "Control (Optional)", "Tube", "Strand", "Samples", "Threshold", "Note (Optional)", "Text",
]  # fmt: skip
# Prefect has two user interfaces, between which people may choose: where each is, and what holds a field there.
INTERFACES = {"v1": ("", ".schema-form-property"), "v2": ("v2/", "div.group")}


class Form:
    """The page on which a run of a deployment is started."""

    def __init__(self, page: Page, field: str) -> None:
        self.page = page
        self._field = field

    def field(self, title: str) -> Locator:
        """The field with a title, without the group around it."""
        return self.page.locator(self._field).filter(has=self.page.get_by_text(title, exact=True)).last

    def fill(self, title: str, value: str) -> None:
        control = self.field(title).locator("input, textarea").first
        control.fill(value)
        control.blur()

    def submit(self) -> None:
        """Submit until the server takes it: on SQLite it answers 503 while somebody else writes."""
        for _ in range(5):
            with self.page.expect_response("**/create_flow_run") as answer:
                self.page.get_by_role("button", name="Submit").click()
            if answer.value.status != 503:
                break
        assert answer.value.ok, answer.value.text()

    def choose_type(self, title: str, name: str) -> None:
        self.field(title).get_by_role("button", name=name, exact=True).or_(
            self.field(title).get_by_role("tab", name=name, exact=True)
        ).click()

    def choose(self, title: str, option: str) -> None:
        self.field(title).locator("fieldset button").first.press("Space")
        self.page.get_by_text(option, exact=True).last.click()


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_run_is_started_by_filling_the_form(site: Site, page: Page, interface: str) -> None:
    place, field = INTERFACES[interface]
    (site.directory / "letters.txt").write_text("twelve chars")
    deployment = site.deploy(SURVEY, "--name", interface)
    site.show(page, f"{place}deployments/deployment/{deployment}/run")
    form = Form(page, field)
    expect(form.field("Your name")).to_be_visible()
    picture(page, f"{interface}-empty")

    assert [title for title in page.locator("label").all_inner_texts() if title in TITLES] == TITLES
    expect(form.field("Your name")).to_contain_text("What the greeting says (string)")
    expect(form.field("Control (Optional)")).to_contain_text("Without treatment (Sample)")
    expect(form.field("How often (Optional)").locator("input[type=number]")).to_have_value("3")

    form.fill("Your name", "Ada")
    form.fill("How often (Optional)", "4")
    form.choose_type("Share (Optional)", "float")
    form.fill("Share (Optional)", "0.5")
    form.choose("Colour", "green")
    for index, size in enumerate(("7", "11")):
        form.field("Sizes").get_by_text("Add item").click()
        form.field("Sizes").locator("input[type=number]").nth(index).fill(size)
    form.fill("Width", "2")
    form.field("Samples").get_by_text("Add item").click()
    expect(page.get_by_text("Tube", exact=True)).to_have_count(2)  # that of Control stays as it is
    form.fill("Tube", "A1")
    form.choose("Strand", "reverse")
    form.choose_type("Threshold", "str")
    form.fill("Threshold", "strict")
    if interface == "v1":
        documented(page.locator("form").first, "form")
    form.fill("Text", str(site.directory / "letters.txt"))
    picture(page, f"{interface}-filled")
    form.submit()

    run = site.only_run(deployment)
    assert site.until(run, *ENDED) == "COMPLETED"
    assert site.outputs(run)["letters"] == len("twelve chars")
    assert site.outputs(run)["given"] == GIVEN
    site.show(page, f"{place}runs/flow-run/{run}")
    expect(page.get_by_text("Completed").first).to_be_visible()
    picture(page, f"{interface}-completed")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        pytest.param({"colour": "purple"}, "'purple' is not one of ['red', 'green', 'blue']", id="enum"),
        pytest.param(
            {"samples": [{"tube": "A1", "strand": "up"}]}, "'up' is not one of ['forward', 'reverse']", id="array"
        ),
        pytest.param({"control": {"strand": "forward"}}, "'tube' is a required property", id="nullable"),
        pytest.param({"threshold": [1]}, "is not valid under any of the given schemas", id="union"),
    ],
)
def test_the_server_refuses_what_the_form_would_not_offer(site: Site, wrong: dict, told: str) -> None:
    deployment = site.deploy(SURVEY, "--name", "refusing")
    right = {"name": "a", "colour": "red", "sizes": [], "box": {"width": 1}, "samples": [], "threshold": 1, "text": "x"}

    answer = site.start(deployment, **(right | wrong))

    assert answer.status_code == 409
    assert told in answer.json()["detail"]
