"""docs/capacity.md is current."""

from bench.capacity import BEGIN, END, PAGE, written


def test_the_page_contains_the_computed_tables() -> None:
    shown = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    assert shown == written(), "run `python -m bench.capacity`"
