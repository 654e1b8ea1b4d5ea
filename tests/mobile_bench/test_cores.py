"""Which cores: the fastest clusters that hold all threads, and masks that name just those cores."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mobile_bench.cores import Core, big_cores, check_affinity, choose_cores, taskset_mask
from tfold.errors import BadInputError


def phone(*ghz, offline=()):
    return [Core(n, None if f is None else round(f * 1e6), online=n not in offline) for n, f in enumerate(ghz)]


PRIME = phone(1.8, 1.8, 1.8, 1.8, 2.8, 2.8, 2.8, 3.2)  # 4 small, 3 big, 1 prime
TWO = phone(*[2.0] * 4, *[2.6] * 4)
BIG_FIRST = phone(2.6, 2.6, 1.4, 1.4)
ONE = phone(*[1.5] * 4)


@pytest.mark.parametrize(("cores", "threads", "mask"), [
    (PRIME, 1, "80"),
    (PRIME, 2, "f0"),
    (PRIME, 4, "f0"),
    (PRIME, 5, "ff"),
    (PRIME, 64, "ff"),
    (PRIME, None, "f0"),
    (TWO, 1, "f0"),
    (TWO, 4, "f0"),
    (TWO, 5, "ff"),
    (BIG_FIRST, 2, "3"),
    (ONE, 1, "f"),
    (ONE, None, "f"),
])
def test_the_fastest_clusters_that_hold_all_threads(cores, threads, mask):
    assert big_cores(cores, threads).mask == mask


def test_cores_that_are_switched_off_are_left_out():
    assert big_cores(phone(1.8, 1.8, 2.8, 3.2, offline=[3]), 1).numbers == (2,)
    assert big_cores([Core(0, 1000), Core(1, 2000, online=None)], 1).numbers == (1,)  # not told: taken for on


@pytest.mark.parametrize("cores", [[], phone(1.8, None, 2.8), phone(None, None), phone(1.8, offline=[0])])
def test_unknown_frequencies_give_no_mask_and_a_reason(cores):
    choice = big_cores(cores, 2)
    assert choice.mask is None and choice.numbers == ()
    assert "does not tell the highest frequency" in choice.reason


def test_the_reason_is_for_people():
    assert big_cores(PRIME, 4).reason == "cores 4, 5, 6, 7: the fastest, 3.20 GHz and 2.80 GHz"


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "4"])
def test_a_number_of_threads_that_is_none(count):
    with pytest.raises(BadInputError, match="at least 1. Received: "):
        big_cores(PRIME, count)


some_cores = st.lists(st.builds(Core, st.integers(0, 127), st.sampled_from([1400, 1800, 2400, 3200]),
                                online=st.sampled_from([True, False, None])),
                      max_size=12, unique_by=lambda core: core.number)


@settings(max_examples=60)
@given(some_cores, st.integers(1, 16))
def test_whole_clusters_fast_enough_and_no_more_than_needed(cores, threads):
    usable = {core.number: core.max_khz for core in cores if core.online is not False}
    chosen = set(big_cores(cores, threads).numbers)
    assert chosen <= set(usable)
    if not usable:
        return
    slowest = min(usable[number] for number in chosen)
    assert chosen == {number for number, khz in usable.items() if khz >= slowest}  # whole clusters, the fastest
    assert len(chosen) >= min(threads, len(usable))
    assert sum(usable[number] > slowest for number in chosen) < threads  # the slowest cluster in it is needed


@settings(max_examples=60)
@given(st.sets(st.integers(0, 130), min_size=1))
def test_a_mask_has_just_the_bits_of_its_cores(numbers):
    mask = taskset_mask(list(numbers))
    assert mask == mask.lower() and not mask.startswith("0")
    assert {bit for bit in range(140) if int(mask, 16) >> bit & 1} == numbers


@pytest.mark.parametrize("numbers", [[], [-1], [0, -2]])
def test_a_mask_of_no_cores_is_refused(numbers):
    with pytest.raises(BadInputError, match="at least one core"):
        taskset_mask(numbers)


def test_what_an_option_means():
    assert choose_cores("big", PRIME, 4).mask == "f0"
    assert choose_cores("none", PRIME, 4).mask is None
    assert choose_cores("0xC0", PRIME, 1).numbers == (6, 7)
    assert choose_cores("ff", PRIME, 1).mask == "ff"
    assert choose_cores("c0", [], 1).mask == "c0"  # a phone that tells nothing of its cores


@pytest.mark.parametrize("affinity", ["", "0", "00", "large", "0x", "f0g", "-1", 15, None])
def test_other_affinities_are_refused(affinity):
    with pytest.raises(BadInputError, match="big, none, or a hexadecimal mask"):
        check_affinity(affinity)


def test_a_mask_of_cores_that_are_not_there_is_refused_with_those_that_are():
    with pytest.raises(BadInputError, match="switched on: 0, 1, 2. Received: 18, which is 3, 4"):
        choose_cores("18", phone(1, 1, 1, 2, offline=[3]), 1)
