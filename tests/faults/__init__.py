"""Tests of the delivery contract under faults: a workload, a nemesis that injects faults, a record, and a checker."""

import os

# The nemesis starts servers while gRPC calls are in progress, and gRPC's fork handlers sometimes end the child.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
