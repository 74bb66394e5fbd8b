"""Benchmarks: what docs/benchmarks.md claims, each with the command that repeats it."""

from lake.environment import prepare

prepare()  # before torch is imported, which reads the variables once
