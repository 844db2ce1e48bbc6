"""No false "fits": every start that failed for memory is refused, and at most one in ten of those that went well."""

from __future__ import annotations

from pathlib import Path

from starts import facts, not_understood, planned


def test_what_failed_is_refused_and_what_fitted_is_not(tmp_path: Path) -> None:
    wrong, refused, good, bad = [], [], 0, 0
    for ident, fits, spec in facts(tmp_path):
        plan = planned(spec, tmp_path)
        rows = {reason.row for rejection in plan.rejected[:1] for reason in rejection.reasons}
        taken = plan.choice is not None or not rows & {"out-of-memory", "no-room-beside-the-pool"}
        if fits:
            good += 1
            refused += [] if taken else [ident]
        else:
            bad += 1
            wrong += [ident] if taken else []
    assert set(wrong) == not_understood()  # what becomes right is to be unmarked
    assert (good, bad) >= (30, 25)
    assert len(refused) <= good // 10, refused
