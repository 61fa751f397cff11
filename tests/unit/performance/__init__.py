"""The benchmark's decisions: what is derived, shown, drawn and published."""
