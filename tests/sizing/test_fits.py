"""No false "fits": every start that failed for memory is refused, and at most one in ten of those that went well."""

from __future__ import annotations

from pathlib import Path

from starts import facts, not_understood, pinned_start, planned, starts


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


def test_starts_that_ran_fit_under_a_load_that_nobody_stated(tmp_path: Path) -> None:
    """What is pinned is a cap: the cache of the profile's typical requests is needed, as many as there is room for."""
    rows = [row for row in starts() if row["start"].get("gpu") and not row["start"].get("offload")]
    refused = []
    for row in rows:
        spec = pinned_start(row)
        spec["workload"] = {key: value for key, value in spec["workload"].items() if key == "max_context"}
        plan = planned(spec, tmp_path)
        found = {reason.row for rejection in plan.rejected[:1] for reason in rejection.reasons}
        if plan.choice is None and found & {"out-of-memory", "load-hardly-held", "no-room-beside-the-pool"}:
            refused.append(row["id"] if "id" in row else str(row["start"]))
    assert len(rows) >= 40
    assert len(refused) <= len(rows) // 6, refused
