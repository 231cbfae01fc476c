"""What every test in this repository shares: the profiles that Hypothesis runs under.

`ci`, the default (see pyproject.toml): the same few examples each time, bounded by their number and not by time.
`soak`: many random examples, for `make soak`. A failing example is kept in .hypothesis and tried first by the next run.
"""

from hypothesis import HealthCheck, settings

# A busy machine makes examples slow, and a state machine draws much data. Neither is a defect of the product.
_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)

settings.register_profile("ci", max_examples=50, deadline=None, derandomize=True, suppress_health_check=_SLOW)
settings.register_profile("soak", max_examples=2_000, deadline=None, suppress_health_check=_SLOW)
