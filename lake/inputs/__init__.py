"""Reads the user's input files: which files belong to an input, what they hold, and what ids, times and texts mean.

A reader gives :class:`lake.inputs.part.Part` objects: rows of files that have the same columns. The rest of a job works
on parts, so that a column is matched by its name whatever its place in a file.
"""
