"""What every test shares: how hypothesis looks for examples, and a broker for those that ask."""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, Phase, settings

from .brokers.rabbitmq import rabbitmq as rabbitmq
from .brokers.rabbitmq import rabbitmq_node as rabbitmq_node

# A shell has what it runs in the background ignore Ctrl-C, and so would all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline and no "too slow": a verdict on time depends on the machine, and belongs in bench/.
_untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# "ci" (the default) tries the same examples each time. "explore" looks for new ones, many more of
# them, and remembers what it found: HYPOTHESIS_PROFILE=explore make pytest
settings.register_profile("ci", _untimed, derandomize=True, print_blob=True)
settings.register_profile(
    "explore", _untimed, derandomize=False, max_examples=5_000, phases=list(Phase)
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
