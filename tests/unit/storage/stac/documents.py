"""Documents of STAC for tests."""

import json


def item(identifier="a", assets=None, links=(), **further):
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": identifier,
        "geometry": None,
        "properties": {"datetime": "2024-07-01T00:00:00Z"},
        "assets": {key: {"href": href} for key, href in (assets or {"red": "./red.tif", "nir": "./nir.tif"}).items()},
        "links": [{"rel": relation, "href": href} for relation, href in links],
        **further,
    }


def catalog(links, **further):
    given = [{"rel": relation, "href": href} for relation, href in links]
    return {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "d", "links": given, **further}


class Documents:
    """Documents by URL, as a reader of them gives them, which remembers what it was asked for."""

    def __init__(self):
        self.contents = {}
        self.asked = []

    def put(self, url, document):
        self.contents[url] = document if isinstance(document, bytes) else json.dumps(document).encode()
        return url

    def __call__(self, urls):
        self.asked += urls
        return {url: self.contents[url] for url in urls}
