"""The numeric cores: numpy, numba, faiss and torch. Knows no Spark and no Delta."""
