"""Each dependency in pyproject.toml has its line in docs/dependencies.md, and no other has one."""

import re
import tomllib

from docs.markdown import DOCS, ROOT, read


def declared():
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    lines = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    return {re.match(r"[\w.-]+", line)[0].lower() for line in lines} - {"penjing"}


def test_each_dependency_says_why_it_is_there():
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", read(DOCS / "dependencies.md"), re.MULTILINE)
    assert {name.lower() for name, _ in rows} == declared()
    assert len(rows) == len(declared())
    assert all(len(why) > 20 for _, why in rows)
