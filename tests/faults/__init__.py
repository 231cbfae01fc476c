"""The prover of the delivery contract: a workload, a nemesis, a complete record, and a checker that judges it."""

import os

# The nemesis starts servers while gRPC has calls under way: its own handlers of fork end the child now and then.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
