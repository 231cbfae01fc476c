from messages.commands import Post, Verdict


async def test_posts_of_a_batch_are_numbered_in_its_order_without_a_gap(town):
    channel = await town.channel("ann", "bob")
    outcomes = await town.do(*(town.command(channel, user, Post(f"{n}")) for n, user in enumerate(["ann", "bob"] * 5)))
    assert [outcome.seq for outcome in outcomes] == list(range(4, 14))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.FRESH}
    assert [event.seq for event in await town.log(channel)] == list(range(1, 14))
