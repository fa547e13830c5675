"""MLflow, fed from a run's files by a process of its own, so that training never waits for it.

    run directory (run.json, metrics.jsonl, …) -> feeder process -> MLflow store

Nothing here is imported by the trainer except ``start_feeder``; MLflow itself is imported where a store is opened.
"""
