"""Plain faults and troubles made without a simulator: what is missed, late or misnamed. `python -m benchmarks.plain_cases`.

The tables are those of `tests/unit/models/plain_cases.py`, of which the tests take every seventh and ninth.
"""

from __future__ import annotations

from collections import Counter

from tests.unit.models.plain_cases import benign, faults, watch

LATE = 30
"""Minutes after the third refusal."""


def main() -> None:
    """Print the faults that went wrong, their sum, and what each kind of benign trouble was told as."""
    missed, late, right = 0, 0, 0
    for case in faults():
        told = watch(case)
        missed += told.after_third is None
        slow = told.after_third is not None and told.after_third > LATE
        late += slow
        right += told.cause == case.cause
        if slow or told.cause != case.cause:
            print(
                f"{case.name}: told after {told.after_third} min as {', '.join(told.causes) or 'nothing'}", flush=True
            )
    print(f"{len(faults())} faults: {missed} missed, {late} later than {LATE} minutes, {right} with the right cause")
    troubles = Counter((case.name.split(",")[0], watch(case).cause) for case in benign())
    for (kind, cause), n in sorted(troubles.items(), key=str):
        print(f"{kind}: {n} told as {cause}" if cause else f"{kind}: {n} not told")


if __name__ == "__main__":
    main()
