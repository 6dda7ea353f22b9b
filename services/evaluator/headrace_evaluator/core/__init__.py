"""The evaluator's domain: metrics, intervals, gates and the verdict."""
