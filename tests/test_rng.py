"""One seed, many generators."""

import pytest
import torch

from cellflow_cli.rng import NAMES, derived_seed, scoped, stream, streams


def test_streams_are_named_and_independent():
    draws = {name: torch.rand(4, generator=rng).tolist() for name, rng in streams(0).items()}
    assert set(draws) == set(NAMES)
    assert len({tuple(draw) for draw in draws.values()}) == len(NAMES)


def test_drawing_from_one_leaves_the_others():
    drawn, fresh = streams(0), streams(0)
    torch.rand(1000, generator=drawn["evaluation"])
    assert torch.equal(torch.rand(4, generator=drawn["batches"]), torch.rand(4, generator=fresh["batches"]))


def test_a_seed_depends_on_every_name():
    seeds = [
        derived_seed(0),
        derived_seed(1),
        derived_seed(0, "a"),
        derived_seed(0, "b"),
        derived_seed(0, "a", "b"),
    ]
    seeds += [derived_seed(0, "ab"), derived_seed(0, "b", "a"), derived_seed(0, "a", 1)]
    assert len(set(seeds)) == len(seeds)


def test_seeds_are_the_same_on_every_machine():
    """The first 63 bits that `printf '0\\x1fbatches' | sha256sum` prints."""
    assert derived_seed(0, "batches") == 0x2F2B42FB71D8E57D >> 1
    assert 0 <= derived_seed(12345, "x") < 2**63


def test_scoped_draws_depend_on_the_generator_alone():
    def drawn():
        with scoped(stream(7, "init")):
            return torch.rand(3)

    torch.manual_seed(1)
    first = drawn()
    torch.manual_seed(2)
    assert torch.equal(drawn(), first)


def test_scoped_puts_the_global_state_back_even_after_an_error():
    def fail():
        with scoped(stream(0)):
            torch.rand(5)
            raise RuntimeError("on purpose")

    torch.manual_seed(3)
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="on purpose"):
        fail()
    assert torch.equal(torch.get_rng_state(), before)


def test_scoped_moves_its_generator_on():
    rng = stream(0)
    draws = []
    for _ in range(2):
        with scoped(rng):
            draws.append(torch.rand(3))
    assert not torch.equal(draws[0], draws[1])
