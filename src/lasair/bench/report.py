"""Figures for people and for scripts."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lasair.bench import annotations as posting
from lasair.bench import cones, sherlock, skyindex
from lasair.bench.annotations import AnnotationsResult
from lasair.bench.cones import ConesResult
from lasair.bench.measure import Result
from lasair.bench.sherlock import SherlockResult
from lasair.bench.skyindex import IndexCost


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    model = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        texts = cpuinfo.read_text().splitlines()
        models = [one.split(":", 1)[1].strip() for one in texts if one.startswith("model name")]
        model = models[0] if models else model
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}


def as_json(
    results: list[Result],
    *,
    sky: SherlockResult | None = None,
    one_catalogue: ConesResult | None = None,
    sky_index: list[IndexCost] | None = None,
    posts: AnnotationsResult | None = None,
) -> dict[str, Any]:
    """The whole report as JSON has it."""
    out: dict[str, Any] = {"machine": machine(), "results": [asdict(one) for one in results]}
    if sky is not None:
        out["sherlock"] = sherlock.as_json(sky)
    if one_catalogue is not None:
        out["cones"] = cones.as_json(one_catalogue)
    if sky_index is not None:
        out["skyindex"] = skyindex.as_json(sky_index)
    if posts is not None:
        out["annotations"] = posting.as_json(posts)
    return out


def as_text(
    results: list[Result],
    *,
    sky: SherlockResult | None = None,
    one_catalogue: ConesResult | None = None,
    sky_index: list[IndexCost] | None = None,
    posts: AnnotationsResult | None = None,
) -> str:
    """The report to read."""
    about = machine()
    lines = [
        f"{about['cpu']}, {about['cores']} cores, Python {about['python']}; "
        "CPU time of one process; the whole chain without catalogues and lists"
    ]
    for one in results:
        lines += ["", f"{one.workload}: {one.what}", *_speeds(one), *_stages(one), *_beside_lasair(one)]
    if sky is not None:
        lines += sherlock.as_lines(sky)
    if one_catalogue is not None:
        lines += cones.as_lines(one_catalogue)
    if sky_index is not None:
        lines += skyindex.as_lines(sky_index)
    if posts is not None:
        lines += posting.as_lines(posts)
    return "\n".join(lines)


def _speeds(one: Result) -> list[str]:
    size = f"{one.alerts:,} packets of {one.mean_packet_bytes / 1e3:.0f} kB and {one.mean_rows:.0f} rows"
    others = f"every column {one.decode_all_columns_per_s:,.0f}, fastavro {one.fastavro_per_s:,.0f}"
    spread = f"p50 {one.fused_ms_p50:.3f}, p95 {one.fused_ms_p95:.3f}"
    return [
        f"  {size}; peak memory {one.peak_rss_mb:,.0f} MB, of that {one.held_mb:,.0f} MB the packets themselves",
        f"  decode      {one.decode_per_s:>10,.0f} packets/s/core   ({others})",
        f"  features    {one.features_per_s:>10,.0f} alerts/s/core",
        f"  whole chain {one.fused_per_s:>10,.0f} alerts/s/core = {one.fused_ms:.3f} ms an alert ({spread});"
        f" {one.delivered:,} messages delivered",
    ]


def _stages(one: Result) -> list[str]:
    lines = []
    for name, (mean, p50, p95) in one.stages_ms.items():
        share = 100 * mean / one.fused_ms if one.fused_ms else 0.0
        lines.append(f"    {name:<12}{mean:8.4f} ms  p50 {p50:.4f}  p95 {p95:.4f}  {share:4.0f} %")
    if one.stages_ms:
        lines.append(f"  next to make faster: {max(one.stages_ms, key=lambda name: one.stages_ms[name][0])}")
    return lines


def _beside_lasair(one: Result) -> list[str]:
    lines = []
    if one.lasair_ms is not None and one.ratio_to_lasair is not None and one.reach is not None:
        good = "reached" if one.ratio_to_lasair <= one.reach else "NOT reached"
        ours, aim = 1 / one.ratio_to_lasair, 1 / one.reach
        lines.append(
            f"  the real Lasair needs {one.lasair_ms:.1f} ms without BBB: "
            f"ours is 1/{ours:.0f} of it (aim 1/{aim:.0f}, {good})"
        )
    if one.bbb_ms is not None:
        lines.append(f"  BBB fits, apart: {one.bbb_ms:.2f} ms an alert (the original {one.lasair_bbb_ms or 0:.1f})")
    return lines
