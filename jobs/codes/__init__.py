"""The steps of ``assign_semantic_ids``: collisions, neighbours, what changed, how good the codes are."""
