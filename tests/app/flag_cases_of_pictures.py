"""What each flag about how pictures look does, for one photo and for many alike."""

import xml.etree.ElementTree as ElementTree

from tests.app.flag_lab import case
from tests.comparison import assert_close


def shows_looks(flag, value, wrong):
    """Shows that a flag of how pictures look changes them, and nothing else, for one photo and for many."""

    def shows(lab, task):
        for explain, name, more in ((lab.one, "panel", {}), (lab.many, "panels/", {"save": "panels"})):
            plain, changed = explain(task, **more), explain(task, **more, **{flag: value})
            panels = [[file for file in sorted(said.files) if name in file] for said in (plain, changed)]
            assert panels[0] == panels[1] != []
            before, after = (
                [(said.folder / file).read_bytes() for file in panels[0]] for said in (plain, changed)
            )
            assert before != after or flag == "scale"  # one target has a scale of its own in any case
            assert_close(plain.cams, changed.cams)
        lab.refuses(task, f"Expected --{flag} .* or .*, got '{wrong}'", **{flag: wrong})

    return shows


case("colors", "viridis")(shows_looks("colors", "viridis", "grape"))
case("paper", "black")(shows_looks("paper", "black", "grey"))
case("scale", "shared")(shows_looks("scale", "shared", "both"))


@case("panel_format", "svg")
def shows_panel_format(lab, task):
    for panels in ("pdf", "svg"):
        one, many = lab.one(task, panel_format=panels), lab.many(task, panel_format=panels, save="panels")
        for said in (one, many):
            files = [file for file in said.files if "panel" in file]
            assert files
            assert all(file.endswith(f".{panels}") for file in files)
            for file in files if panels == "svg" else []:
                assert f"small_{task}, " in "\n".join(ElementTree.parse(said.folder / file).getroot().itertext())
    lab.refuses(task, "Expected --panel_format png, pdf or svg, got 'eps'", panel_format="eps")
