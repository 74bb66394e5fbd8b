"""Item texts that learn with the ranker (SARM, arXiv 2602.09401): trainable tokens, an encoder, and a memory bank."""
