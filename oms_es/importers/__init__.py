"""History from files: parsed into facts, and all facts through one door."""
