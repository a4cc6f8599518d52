"""From data files to a workload: what they hold (columns, univariate, infer), and its folder (render, install)."""
