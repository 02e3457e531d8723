import csv
import json

from cwl_prefect.reports.record import read_record
from cwl_prefect.reports.tables import csv_table, json_table, tsv
from tests.unit.reports.traces import ENDED, STARTED, tried, write


def test_the_tsv_has_the_columns_of_nextflow_and_a_dash_for_what_is_not_known(tmp_path):
    lines = tsv(
        read_record(write(tmp_path, STARTED, tried("a\tb"), tried("c", "failed", exit_code=7), ENDED))
    ).splitlines()
    rows = [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]
    assert (
        rows[0]
        | {
            "task_id": "1",
            "name": "a b",
            "status": "COMPLETED",
            "exit": "0",
            "cpus": "2",
            "memory": str(512 << 20),
            "realtime": "4000",
            "duration": "6000",
            "%cpu": "150.0",
            "peak_rss": str(300 << 20),
            "write_bytes": "-",
        }
        == rows[0]
    )
    assert (rows[1]["status"], rows[1]["exit"]) == ("FAILED", "7")


def test_the_csv_has_the_members_of_the_trace_and_no_formulas(tmp_path):
    text = csv_table(read_record(write(tmp_path, STARTED, tried("=cmd()"), ENDED)))
    (row,) = csv.DictReader(text.splitlines())
    assert (row["call"], row["cpu_s"], row["written_bytes"]) == ("'=cmd()", "6.0", "")


def test_the_json_has_all(tmp_path):
    found = json.loads(json_table(read_record(write(tmp_path, STARTED, tried("a"), ENDED))))
    assert (found["state"], found["run"]["name"], found["outputs"]) == ("succeeded", "calm-cat", {"o": 1})
    assert found["tries"][0]["written_bytes"] is None
    assert found["steps"][0]["states"] == {"succeeded": 1}
