"""The retriever's network: what it embeds, the Query-Former, the decoder with its mixture of experts."""
