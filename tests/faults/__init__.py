"""Tests of the delivery contract under faults: a workload, a nemesis that injects faults, a record, and a checker."""
