"""What Sherlock said against what a simulated sky holds."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from lasair.filter.evaluate import SHERLOCK
from lasair.schema.model import SURVEYS
from lasair.sherlock.rules import CLASSES
from lasair.stores.protocols import ObjectStore


class Confusion(NamedTuple):
    """Objects by (what is true, what was said)."""

    counts: Counter[tuple[str, str]]

    @property
    def right(self) -> int:
        """Objects of which the truth was said."""
        return sum(count for (true, said), count in self.counts.items() if true == said)

    @property
    def total(self) -> int:
        """Objects that were classified."""
        return self.counts.total()

    def table(self) -> tuple[list[str], list[list[str | int]]]:
        """Headings and rows: a row for each true class, a column for each said; empty where there is none."""
        said = [one for one in CLASSES if any(column == one for _, column in self.counts)]
        true = [one for one in CLASSES if any(row == one for row, _ in self.counts)]
        rows: list[list[str | int]] = [[one, *(self.counts[one, other] or "" for other in said)] for one in true]
        return ["true \\ said", *said], rows


def confusion(truth: Path, objects: ObjectStore) -> Confusion:
    """Compare the column `context` of a simulation's truth file with the stored classes.

    Objects that were not classified (movers, those whose alerts were all damaged) are left out.
    """
    expected: dict[str, dict[int | str, str]] = {survey: {} for survey in SURVEYS}
    with truth.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["context"]:
                key = int(row["object_id"]) if row["survey"] == "lsst" else row["object_id"]
                expected[row["survey"]][key] = row["context"]
    counts: Counter[tuple[str, str]] = Counter()
    for survey, classes in expected.items():
        for key, (said,) in objects.fetch(survey, SHERLOCK, ("classification",), list(classes)).items():
            if said:
                counts[classes[key], said] += 1
    return Confusion(counts)
