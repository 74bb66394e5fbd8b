"""Whether the driver and its tasks have a GPU."""

from __future__ import annotations

import torch

from lake.health import Finding
from lake.lake import Lake

AMOUNT = "spark.task.resource.gpu.amount"


def gpu(lake: Lake) -> Finding:
    """What networks compute on; on a cluster, executors need GPUs of their own."""
    conf, local = lake.spark.sparkContext.getConf(), (lake.spark.sparkContext.master or "").startswith("local")
    given = None if local else conf.get(AMOUNT)
    of_tasks = f"; a task of an executor gets {given}" if given else ""
    if not torch.cuda.is_available():
        return Finding("GPU", f"torch finds none here: the driver's networks compute on the processor{of_tasks}")
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    says = f"{', '.join(names)}{of_tasks}"
    if local:
        return Finding("GPU", f"{says}; every task holds a network of its own on the first (docs/gpu.md)")
    mend = "" if given else f"set {AMOUNT}, or executors' tasks share their first (docs/gpu.md)"
    return Finding("GPU", says, mend, may_stay=True)
