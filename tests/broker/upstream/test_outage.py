"""What is remembered of an outage, and for how long (contract, `STALE_LIMIT`)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from broker.upstream.outage import ASKED_AGAIN, Outages


def test_asking_is_spared_for_a_while_and_then_one_asks():
    outages = Outages()
    assert not outages.spares("corp", now=0.0)
    outages.seen("corp", now=0.0)
    assert outages.spares("corp", now=0.0)
    assert outages.spares("corp", now=ASKED_AGAIN - 1)
    assert [outages.spares("corp", now=ASKED_AGAIN) for _ in range(3)] == [False, True, True]


def test_an_answer_ends_it_at_once():
    outages = Outages()
    outages.seen("corp", now=0.0)
    outages.over("corp")
    outages.over("corp")
    assert not outages.spares("corp", now=1.0)


def test_one_provider_s_outage_is_no_other_s():
    """Rule B7: one sick identity provider changes nothing for another."""
    outages = Outages()
    outages.seen("corp", now=0.0)
    assert not outages.spares("github", now=0.0)


@given(seen=st.lists(st.floats(min_value=0, max_value=300), min_size=1), asked=st.lists(st.floats(0, 300)))
def test_however_often_it_is_seen_somebody_is_let_through_in_time(seen: list[float], asked: list[float]):
    """Rule B16: whoever cannot be answered on the last word sees the outage again and again, and must not keep the others from asking."""
    outages, let_through = Outages(), [min(seen)]
    for now, is_seen in sorted([(at, True) for at in seen] + [(at, False) for at in asked]):
        if is_seen:
            if not let_through or now - let_through[-1] >= ASKED_AGAIN:
                let_through.append(now)
            outages.seen("corp", now=now)
        elif now >= let_through[0] and not outages.spares("corp", now=now):
            let_through.append(now)
        else:
            assert now < let_through[0] or now - let_through[-1] < ASKED_AGAIN
