"""The prover of the delivery contract: a workload, a nemesis, a complete record, and a checker that judges it."""
