"""The jobs. Each file is one job and can be run by spark-submit; the folders hold functions that the jobs use."""
