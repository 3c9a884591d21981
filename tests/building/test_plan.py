"""Which cells are trained, and the map back to all cells, against the classes' own definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_truths import NINE, options

from nni_wiring.building.options import make_build_options
from nni_wiring.building.plan import Plan, Slice, Unit, first_of_class, make_plan
from nni_wiring.errors import BenchmarkError, WiringError
from search_spaces.cell_codes import NASBENCH201
from search_spaces.registry import space_entry
from search_spaces.uniqueness import exact_class


def plan_of(space: str, **more: object) -> Plan:
    return make_plan(make_build_options({"space": space, "data": "digits", **more}))


def test_the_map_back_covers_all_of_nasbench201() -> None:
    plan = plan_of("nasbench201", seeds=[1, 3])
    assert len(plan.codes) == 15_625 and len(plan.classes) == 5_260  # S2's count of exact cells
    classes = exact_class(NASBENCH201.cells)
    # a value that tells the classes apart comes back on every cell of its class and on no other
    value = {int(code): float(number) for number, code in enumerate(plan.classes)}
    back = plan.back(value)
    assert len(np.unique(back)) == 5_260
    np.testing.assert_array_equal(classes[plan.trained], classes)
    pairs = np.unique(np.stack([back, classes]), axis=1)
    assert pairs.shape == (2, 5_260)
    assert len(plan.units()) == 2 * 5_260 and plan.units()[5_260].seed == 3


@pytest.mark.parametrize(
    ("space", "cells"),
    [("nasbench201_minimal", 125), ("nasbench201_s2", 64), ("transnas101_micro", 4_096)],
)
def test_a_part_of_the_cells_is_trained_by_cells_of_the_part(space: str, cells: int) -> None:
    plan = plan_of(space)
    entry = space_entry(space)
    assert len(plan.codes) == cells == entry.cells()
    allowed = [set(names) for names in entry.operations().values()]
    names = np.array(plan.codec.operations)
    for code in plan.codes.tolist():
        own = names[plan.codec.cells[code]]
        assert all(name in some for name, some in zip(own, allowed, strict=True))
    assert set(plan.classes.tolist()) <= set(plan.codes.tolist())
    whole = np.array(NASBENCH201.indices(plan.codec.operations))
    classes = exact_class(whole[plan.codec.cells])
    np.testing.assert_array_equal(classes[plan.trained], classes[plan.codes])
    assert len(plan.classes) == len(np.unique(classes[plan.codes]))


def test_slices_share_no_training_and_leave_none_out(tmp_path: Path) -> None:
    plan = make_plan(options(tmp_path))
    parts = [plan.units(Slice(k, 4)) for k in (1, 2, 3, 4)]
    together = [unit for part in parts for unit in part]
    assert len(set(together)) == len(together) == 18 and set(together) == set(plan.units())
    assert {len(part) for part in parts} == {4, 6}
    assert {plan.arch(unit.code) for unit in together} == set(NINE)


def test_a_map_that_does_not_cover_the_cells_is_refused(tmp_path: Path) -> None:
    plan = make_plan(options(tmp_path))
    values = dict.fromkeys(plan.classes.tolist(), 1.0)
    del values[plan.classes[3].item()]
    with pytest.raises(BenchmarkError, match=r"does not cover the cells: 1 of 9 classes have no"):
        plan.back(values)
    with pytest.raises(BenchmarkError, match="does not cover the space: 8 classes for 9 cells"):
        first_of_class(plan.codes, plan.codes[1:])


def test_equal_cells_of_a_list_are_one_training(tmp_path: Path) -> None:
    twin = NINE[4].replace("none~2", "nor_conv_3x3~2")  # node 2 has no input: the same output
    plan = make_plan(options(tmp_path, (NINE[4], twin, NINE[0])))
    assert len(plan.codes) == 3 and len(plan.classes) == 2
    code = int(plan.codec.code(plan.codec.parse(NINE[4])))
    assert Unit(code, 1) in plan.units()
    assert plan.trained.tolist().count(code) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": "1,x"}, "seeds: 'x'; allowed: different whole numbers from 1 to 32767"),
        ({"seeds": [1, 1]}, "seeds: one of them twice"),
        ({"seeds": "0"}, "seeds: 0; allowed"),
        ({"seeds": []}, "seeds: none; allowed"),
        ({"space": "darts", "cell_list": None}, "space darts has [0-9,]* cells; at most 20,000"),
        ({"space": "minimal", "cell_list": None}, "space minimal has 32,768 cells; at most 20,000"),
        ({"space": "nasbench201_s4"}, "space nasbench201_s4: no benchmark spells its cells"),
        ({"cell_list": [3, 2]}, "cell_list: must be a file that lists cells, or rising"),
        ({"cell_list": [15_625]}, "cell_list: 15625 is no cell of space nasbench201"),
        ({"cell_list": "nowhere.txt"}, "nowhere.txt: not a list of cells"),
        ({"arch": NINE[0]}, "arch: no option of a build"),
        ({"seed": 3}, "seed: no option of a build"),
        ({"space": None}, "space: a build needs one"),
        ({"data": "npz:nowhere.npz"}, "data 'nowhere.npz': cannot be read"),
        ({"epoch": 3}, "epoch"),
    ],
)
def test_a_bad_option_is_one_line(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(WiringError, match=message) as caught:
        options(tmp_path, **changes)
    assert "\n" not in str(caught.value)


def test_a_cell_of_another_space_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(WiringError, match=r"cells.txt line 3: arch .* is not in space nasb"):
        options(tmp_path, (NINE[1],), space="nasbench201_minimal")
    with pytest.raises(WiringError, match=r"cells.txt line 4: arch .*"):
        options(tmp_path, (NINE[1], "64-41414-1_02_333"))
    with pytest.raises(WiringError, match="cells.txt: it lists no cells"):
        options(tmp_path, ())


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", ""])
def test_a_slice_that_is_none(text: str) -> None:
    with pytest.raises(BenchmarkError, match="expected I/N with I from 1 to N"):
        Slice.parse(text)


def test_options_survive_their_flat_form(tmp_path: Path) -> None:
    own = options(tmp_path)
    again = make_build_options(own.flat())
    assert again == own and again.digest == own.digest
    assert own.epochs == (1, 2, 3) and own.training["threads"] == 1
    moved = make_build_options({**own.flat(), "data": "npz:elsewhere/grey.npz", "threads": 2})
    assert moved.digest == own.digest  # the same images at another place
    other = make_build_options({**own.flat(), "lr": 0.2})
    assert other.digest != own.digest and other.differences(own) == "lr 0.1 instead of 0.2"
