"""Benchmarks that write docs/benchmarks.md; each section of that page names the command that repeats it."""

from lake.environment import prepare

prepare()  # before torch is imported, which reads the variables once
