"""From data files to the folder of a workload: what they hold (infer, telling), and its source (render, install)."""
