"""The subcommands of `manage.py workflows`, one module each."""

from .base import Subcommand
from .cancel_runs import CancelRuns
from .cleanup import Cleanup
from .graph import Graph
from .health import Health
from .list_runs import ListRuns
from .retry_runs import RetryRuns
from .send_signal import SendSignal
from .show_run import ShowRun
from .start_run import StartRun

SUBCOMMANDS: dict[str, type[Subcommand]] = {
    "list": ListRuns,
    "show": ShowRun,
    "start": StartRun,
    "signal": SendSignal,
    "cancel": CancelRuns,
    "retry": RetryRuns,
    "graph": Graph,
    "health": Health,
    "cleanup": Cleanup,
}
