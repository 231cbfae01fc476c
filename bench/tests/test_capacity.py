"""docs/capacity.md is current."""

from bench.capacity import BEGIN, END, PAGE, table


def test_the_page_contains_the_computed_table() -> None:
    shown = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    assert shown == table(), "run `python -m bench.capacity`"
