"""Read a STAC catalog, and write one with a water index for each of its items: water.py CATALOG LEAST."""

import csv
import json
import sys
from pathlib import Path


def write(path: Path, document: dict) -> None:
    """Write a document, and the directories that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def grid(path: Path) -> list[list[float]]:
    """Return the pixels of a band."""
    with path.open(encoding="utf-8", newline="") as lines:
        return [[float(pixel) for pixel in row] for row in csv.reader(lines)]


def index_of(green: list[list[float]], nir: list[list[float]]) -> list[list[float]]:
    """Return the normalized difference of two bands."""
    pairs = [zip(*rows, strict=True) for rows in zip(green, nir, strict=True)]
    return [[(one - other) / (one + other) if one + other else 0.0 for one, other in row] for row in pairs]


def main(source: Path, least: float, target: Path = Path("water")) -> None:
    """Write the catalog of the indices of all items of a catalog."""
    catalog = json.loads((source / "catalog.json").read_text("utf-8"))
    links = []
    for path in (source / link["href"] for link in catalog["links"] if link["rel"] == "item"):
        item = json.loads(path.read_text("utf-8"))
        green, nir = (grid(path.parent / item["assets"][band]["href"]) for band in ("green", "nir"))
        index = index_of(green, nir)
        pixels = [pixel for row in index for pixel in row]
        folder = target / path.parent.name
        folder.mkdir(parents=True)
        rows = [",".join(f"{pixel:.3f}" for pixel in row) for row in index]
        (folder / "index.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        properties = {**item["properties"], "water:share": round(sum(p >= least for p in pixels) / len(pixels), 3)}
        assets = {"index": {"href": "./index.csv", "type": "text/csv", "roles": ["data"]}}
        links.append({"rel": "item", "href": f"./{folder.name}/{folder.name}.json", "type": "application/geo+json"})
        own = [{"rel": relation, "href": "../catalog.json"} for relation in ("root", "parent")]
        write(folder / f"{folder.name}.json", {**item, "properties": properties, "assets": assets, "links": own})
    own = {"rel": "root", "href": "./catalog.json", "type": "application/json"}
    write(
        target / "catalog.json",
        {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "water",
            "description": "Water of some scenes.",
            "links": [own, *links],
        },
    )


main(Path(sys.argv[1]), float(sys.argv[2]))
