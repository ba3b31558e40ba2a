"""Whether the service works: probes for machines, the status in detail for people, and the facts that both read."""
