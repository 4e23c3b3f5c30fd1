"""What `python -m patches` does to a fork, without its command line."""

from __future__ import annotations

import pathlib

from patches import file_changes
from patches import plan as plan_lib
from patches.fork import Fork


def apply(root: pathlib.Path, request: plan_lib.Request) -> plan_lib.Plan:
  """Applies edits and returns the plan that they were."""
  plan = plan_lib.apply(Fork.at(str(root)), request)
  file_changes.write(root, plan.record + plan.sources)
  return plan


def revert(root: pathlib.Path, only: str | None = None) -> plan_lib.Plan:
  """Takes edits back and returns the plan that they were."""
  plan = plan_lib.revert(Fork.at(str(root)), only)
  file_changes.write(root, plan.sources + plan.record)
  return plan
