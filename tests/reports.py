"""What a report of a comparison holds, read back, and runs that try to get markup into one, for its tests."""

import json
from html.parser import HTMLParser

from test_reading import edit, folders

HOSTILE = "<script>window.harmed=1</script><img src=x onerror=window.harmed=1>"


class Page(HTMLParser):
    """The tags of a page, the texts of its scripts, and the data among them."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.tags, self.scripts, self.policy, self.open = [], [], "", None
        self.feed(path.read_text(encoding="utf-8"))
        self.data = json.loads(next(text for kind, text in self.scripts if kind == "application/json"))

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "script":
            self.open = (dict(attributes).get("type"), [])
        if dict(attributes).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attributes)["content"]

    def handle_data(self, data):
        if self.open:
            self.open[1].append(data)

    def handle_endtag(self, tag):
        if tag == "script":
            self.scripts.append((self.open[0], "".join(self.open[1])))
            self.open = None


def hostile_runs(sweep):
    """Settings, names, errors and credits that are markup."""
    named = [path.rename(path.with_name(f"{number}-<img src=x onerror=harmed=1>&quot;\"'"))
             for number, path in enumerate(folders(sweep))]  # fmt: skip
    for number, folder in enumerate(named):
        edit(folder, lambda manifest, number=number: (
            manifest["config"]["style"].update(images=[f"{HOSTILE}{number % 2}"]),
            manifest.update(credits=[HOSTILE, HOSTILE], overrides=[f"style={HOSTILE}"], device=HOSTILE),
        ))  # fmt: skip
    edit(named[0], lambda manifest: manifest.update(status="failed", error=HOSTILE))
    (sweep / "<script>window.harmed=1").mkdir()
    (sweep / "<b>").mkdir()
    return sweep
