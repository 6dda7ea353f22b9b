"""Model versions, lineage, aliases and the gate."""
