"""One file, one spark-submit entry, one verb. A folder holds what its verbs are made of."""
