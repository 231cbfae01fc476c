"""The page about capacity says what its costs amount to."""

from bench.capacity import BEGIN, END, PAGE, table


def test_the_page_has_the_table_that_its_costs_give() -> None:
    shown = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    assert shown == table(), "run `python -m bench.capacity`"
