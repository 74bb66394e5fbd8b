"""Whether the driver and its tasks have a GPU."""

from __future__ import annotations

import torch

from lake.health import Finding
from lake.run import Lake

AMOUNT = "spark.task.resource.gpu.amount"


def gpu(lake: Lake) -> Finding:
    """What networks compute on; on a cluster, executors need GPUs of their own."""
    given = lake.spark.sparkContext.getConf().get(AMOUNT)
    of_tasks = f"; a task gets {given}" if given else ""
    if not torch.cuda.is_available():
        return Finding("GPU", f"torch finds none here: networks compute on the processor{of_tasks}")
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    says = f"{', '.join(names)}{of_tasks}"
    if given or len(names) == 1:
        return Finding("GPU", says)
    return Finding("GPU", f"{says}; all tasks share the first", f"set {AMOUNT} (docs/gpu.md)", may_stay=True)
