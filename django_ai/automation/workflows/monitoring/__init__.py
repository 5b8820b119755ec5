"""What listens to runs: log lines, Django signals, traces and metrics."""
