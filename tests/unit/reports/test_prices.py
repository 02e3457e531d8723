"""What a run cost, by the prices of a file."""

import json
from pathlib import Path

import pytest

from cwl_prefect.errors import UsageError
from cwl_prefect.reports.page.build import page
from cwl_prefect.reports.prices import money, priced, read_prices
from cwl_prefect.reports.record import Record, read_record
from cwl_prefect.reports.tables import json_table, tsv
from tests.unit.reports.traces import ENDED, STARTED, tried, write

PRICES = "{currency: EUR, core_hour: 0.9, gib_hour: 0.45}"


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Two tries of two cores and half a GiB for four seconds, and one of which nothing is known."""
    failed = tried("align[0]", "retrying", cores=2, ram_mib=512)
    unknown = tried("sort", "cached", started_at=None, ended_at=None)
    return read_record(write(tmp_path / "run", STARTED, failed, tried("align[0]", ram_mib=512), unknown, ENDED))


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.yml"
    path.write_text(PRICES)
    return path


def test_each_try_costs_what_it_asked_for_while_it_ran(record: Record, prices: Path) -> None:
    found = priced(record, prices)
    each = 4 / 3600 * (2 * 0.9 + 0.5 * 0.45)
    assert [step.cost for step in found.steps()] == [pytest.approx(2 * each), None]
    assert (found.cost, found.currency) == (pytest.approx(2 * each), "EUR")


def test_reports_tell_the_cost_where_there_are_prices(record: Record, prices: Path) -> None:
    found = priced(record, prices)
    assert [line.split("\t")[-1] for line in tsv(found).splitlines()] == ["cost", "0.00225", "0.00225", "-"]
    assert "0.0045 EUR" in page(found)
    assert json.loads(json_table(found))["currency"] == "EUR"


def test_without_prices_there_is_no_word_of_cost(record: Record) -> None:
    assert priced(record, None) is record
    assert "cost" not in tsv(record).splitlines()[0]
    assert money(None, "EUR") == money(1.0, None) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{currency: EUR, core_hour: -1}", "core_hour: Input should be greater than or equal to 0"),
        ("{currency: EUR, core_hours: 1}", "core_hours: Unexpected"),
        ("{core_hour: 1}", "currency: Field required"),
        ("[1]", "prices.yml: Input should be"),
        ("{", "is no YAML"),
    ],
    ids=["less-than-nothing", "misspelt", "no-currency", "no-mapping", "no-yaml"],
)
def test_what_is_no_prices_is_refused_with_its_place(prices: Path, text: str, expected: str) -> None:
    prices.write_text(text)
    with pytest.raises(UsageError, match="--prices") as raised:
        read_prices(prices)
    assert expected in str(raised.value)


def test_a_file_of_prices_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_prices(tmp_path / "none.yml")
