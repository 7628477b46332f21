"""The space: every genome is a network, mutations stay inside, a limit is kept and used up."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.base.errors import SettingsError
from striate.model import zoo
from striate.model.blueprint import Blueprint
from striate.model.build import build
from striate.model.walk import walk
from striate.search.space import (
    KINDS,
    MAX_DEPTH,
    MUTATIONS,
    NORMS,
    POOLS,
    WIDENINGS,
    Frame,
    Genome,
    Limit,
    Stage,
    blueprint,
    cost,
    difference,
    fitted,
    mutated,
    parse_count,
    parse_duration,
    start,
)
from striate.search.toml import to_toml

FEW = settings(max_examples=25, deadline=None)


@st.composite
def stages(draw, first: bool) -> Stage:
    kind = draw(st.sampled_from([name for name, one in KINDS.items() if one.is_first or not first]))
    one = KINDS[kind]
    return Stage(
        kind,
        draw(st.integers(1, MAX_DEPTH)),
        1.0 if first else draw(st.sampled_from(WIDENINGS)),
        draw(st.sampled_from(one.kernels)),
        draw(st.sampled_from(one.skips)),
        draw(st.sampled_from(POOLS)),
    )


@st.composite
def framed_genomes(draw) -> tuple[Genome, Frame]:
    frame = Frame(
        (draw(st.integers(5, 33)),) * 2, draw(st.sampled_from([1, 3])), 5, dropout=draw(st.sampled_from([0.0, 0.3]))
    )
    more = draw(st.lists(stages(first=False), max_size=frame.levels - 1))
    genome = Genome(draw(st.integers(8, 24)), draw(st.sampled_from(NORMS)), (draw(stages(first=True)), *more))
    return genome, frame


@given(framed_genomes())
@FEW
def test_every_genome_is_a_network_whose_stages_halve_the_map(pair):
    genome, frame = pair
    plan = blueprint(genome, frame)
    found = walk(plan, size_hw=(frame.size, frame.size), channels=frame.channels, outputs=frame.outputs)
    assert found.layers[-1].out_shape == (5,)
    side = frame.size
    for number, width in enumerate(genome.widths, 1):
        side = math.ceil(side / 2)
        last = [one for one in found.layers if one.name.split("_")[0] == f"stage{number}"][-1]
        assert last.out_shape == (width, side, side)
    assert {"macs": found.macs, "parameters": found.parameters} == cost(genome, frame)
    assert Genome.from_json(genome.to_json()) == genome
    assert not plan.auxiliary_heads


@given(framed_genomes(), st.sampled_from(["macs", "parameters"]), st.floats(0.3, 3))
@FEW
def test_a_fitted_genome_keeps_the_limit_and_cannot_be_wider(pair, kind, share):
    genome, frame = pair
    limit = Limit(kind, int(cost(genome, frame)[kind] * share))
    found = fitted(genome, frame, limit)
    if found is None:
        assert cost(Genome(8, genome.norm, genome.stages), frame)[kind] > limit.value
        return
    assert (
        cost(found, frame)[kind] <= limit.value < cost(Genome(found.width + 1, genome.norm, genome.stages), frame)[kind]
    )
    assert found.stages == genome.stages


@given(framed_genomes(), st.integers(0, 10_000))
@settings(max_examples=200, deadline=None)
def test_a_mutation_is_another_genome_of_the_space_and_says_what_changed(pair, seed):
    genome, frame = pair
    name, child = mutated(genome, frame, np.random.default_rng(seed))
    assert name in MUTATIONS
    assert child != genome
    assert 1 <= len(child.stages) <= frame.levels
    assert difference(genome, child)
    assert (name, child) == mutated(genome, frame, np.random.default_rng(seed))
    assert Genome.from_json(child.to_json()) == child


def test_every_kind_of_mutation_and_every_kind_of_stage_is_reached():
    frame, rng = Frame((32, 32), 3, 10), np.random.default_rng(0)
    genome, names, kinds = start(frame), set(), set()
    for _ in range(400):
        name, genome = mutated(genome, frame, rng)
        names.add(name)
        kinds |= {stage.kind for stage in genome.stages}
    assert names == MUTATIONS.keys()
    assert kinds == KINDS.keys()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("size", [16, 28])
def test_the_start_is_the_bipyramid(norm, size):
    frame = Frame((size, size), 1, 10, dropout=0.3)
    known = zoo.blueprint("bipyramid", size=size, width=16, norm=norm, dropout=0.3)
    shape = {"channels": 1, "outputs": 10, "size_hw": (size, size)}
    ours, theirs = build(blueprint(start(frame, 16, norm), frame), **shape, seed=0), build(known, **shape, seed=1)
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    images = torch.randn(4, 1, size, size, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ours.eval()(images), theirs.eval()(images))


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_stage_trains(kind, pool):
    stage = Stage(kind, 2, kernel=KINDS[kind].kernels[-1], skip=True, pool=pool)
    frame = Frame((12, 12), 1, 3, dropout=0.1)
    plan = blueprint(Genome(8, "batch", (Stage(widen=1), stage)), frame)
    network = build(plan, channels=1, outputs=3, size_hw=(12, 12), seed=0)
    network(torch.randn(4, 1, 12, 12, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in network.parameters())


@pytest.mark.parametrize("kind", ["conv", "separable"])
def test_a_skip_goes_around_each_block_after_the_first(kind):
    frame = Frame((12, 12), 1, 3)
    plan = blueprint(Genome(8, "none", (Stage(widen=1), Stage(kind, 3, skip=True, pool="stride"))), frame)
    network = build(plan, channels=1, outputs=3, size_hw=(12, 12), seed=0).eval()
    for name in ("stage2_2", "stage2_3"):
        for value in network.rows[name].parameters():
            value.data.zero_()
    images = torch.randn(2, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    first = network.features(images, at="stage2")["stage2"]
    assert first.abs().sum() > 0
    assert torch.equal(network.features(images, at="stage2_sum3")["stage2_sum3"], first)


@given(framed_genomes())
@FEW
def test_a_found_network_travels_as_toml(tmp_path_factory, pair):
    plan = blueprint(*pair)
    path = tmp_path_factory.mktemp("toml") / "best.toml"
    path.write_text(to_toml(plan))
    assert Blueprint.from_toml(path) == plan


@pytest.mark.parametrize("name", zoo.names())
def test_any_blueprint_travels_as_toml(name, tmp_path):
    (tmp_path / "x.toml").write_text(to_toml(zoo.blueprint(name)))
    assert Blueprint.from_toml(tmp_path / "x.toml") == zoo.blueprint(name)


def test_what_is_not_in_the_space_is_refused():
    for wrong in ({"kind": "dense"}, {"depth": 9}, {"kind": "basic", "kernel": 5, "skip": True}, {"pool": "median"}):
        with pytest.raises(SettingsError):
            Stage(**wrong)
    with pytest.raises(SettingsError, match="cannot read pixels"):
        Genome(8, "batch", (Stage("separable", widen=1),))
    with pytest.raises(SettingsError, match="wider"):
        Genome(8, "batch", (Stage(widen=2),))
    with pytest.raises(SettingsError):
        Genome(4, "batch", (Stage(widen=1),))


@pytest.mark.parametrize("text", ["", "M", "-3M", "3 apples", "0"])
def test_a_wrong_count_or_duration_is_refused(text):
    for parse in (parse_count, parse_duration):
        with pytest.raises(SettingsError):
            parse(text)
