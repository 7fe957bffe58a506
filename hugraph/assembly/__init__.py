"""From a spec to an experiment and its run directory."""
