"""Do: rows, locks and messages. commit.py alone moves a run, dispatch.py alone sends to Celery."""
