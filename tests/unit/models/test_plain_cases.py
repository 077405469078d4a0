"""What a person would call plain: no fault of the table may be missed, whenever it begins; no benign trouble told."""

from __future__ import annotations

import pytest

from models.cause import NOT_THE_ROLLOVER
from tests.unit.models.plain_cases import Plain, benign, faults, watch

_EVERY_FAULT, _EVERY_BENIGN = 7, 9
"""Every so manieth case of the tables: coprime to the number of kinds, so that each kind comes at every age in turn."""
_MINUTES = 45
_MAY_BE_TOLD = ("bad deployment", "quota")
"""A client that fails on every route with the new version alone might as well hold a wrong secret."""


def _named(cases: list[Plain]) -> list[object]:
    return [pytest.param(case, id=case.name) for case in cases]


@pytest.mark.parametrize("case", _named(faults()[::_EVERY_FAULT]))
def test_a_plain_fault_is_told_soon_whenever_it_begins(case: Plain) -> None:
    told = watch(case)
    assert told.after_third is not None, "never told"
    assert told.after_third <= _MINUTES


@pytest.mark.parametrize("case", _named(benign()[::_EVERY_BENIGN]))
def test_plain_trouble_of_somebody_else_is_not_told_as_a_failed_rollover(case: Plain) -> None:
    told = watch(case)
    if case.name.split(",")[0] not in _MAY_BE_TOLD:
        assert told.cause is None or told.cause in {str(cause) for cause in NOT_THE_ROLLOVER}


def test_the_cause_of_a_plain_fault_is_right_nearly_always() -> None:
    cases = [case for case in faults()[:: _EVERY_FAULT - 2] if not case.hides]
    right = [watch(case).cause == case.cause for case in cases]
    assert sum(right) >= 0.9 * len(cases)
