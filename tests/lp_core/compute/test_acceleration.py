"""Faster ways to run the networks give what the networks give, and say so where they cannot run."""

import logging
import shutil

import pytest
import torch
from liveportrait_goldens import small_networks

from talking_head.lp_core.compute.acceleration import ACCELERATIONS, Compiled, Graphed, accelerated
from talking_head.lp_core.liveportrait.nets.blocks import fold
from talking_head.lp_core.liveportrait.nets.decoder import SpadeBlock
from talking_head.lp_core.liveportrait.renderer import WarpingDecoder

CPU = torch.device("cpu")


def twice(x: torch.Tensor) -> torch.Tensor:
    return 2 * x


def test_unknown_ways_are_refused():
    with pytest.raises(ValueError, match="choose from none, compile, graphs"):
        accelerated(twice, "magic", CPU, torch.nn.Linear(1, 1))


def test_graphs_without_cuda_are_told_and_do_without(caplog):
    assert accelerated(twice, "graphs", CPU, torch.nn.Linear(1, 1)) is twice
    assert "need a CUDA device" in caplog.text


def test_where_compiling_fails_a_sentence_is_said_once_and_it_is_drawn_anyway(monkeypatch, caplog):
    def failing(function, **options):
        def compiled(*inputs):
            raise RuntimeError("Failed to find C++ compiler.\nmore")

        return compiled

    monkeypatch.setattr(torch, "compile", failing)
    draw = Compiled(twice)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert torch.equal(draw(torch.ones(2)), 2 * torch.ones(2))
    assert len(caplog.records) == 1
    assert "cannot run here (Failed to find C++ compiler.); LivePortrait draws without it" in caplog.text


def test_graphs_are_recorded_once_for_each_shape_and_again_when_weights_moved():
    recorded = []

    def record(draw, inputs):
        recorded.append(tuple(one.shape for one in inputs))
        return draw

    weights = torch.nn.Linear(2, 2)
    draw = Graphed(twice, weights, record)
    for count in (3, 3, 1, 3):
        assert torch.equal(draw(torch.ones(count)), 2 * torch.ones(count))
    assert recorded == [((3,),), ((1,),)]
    weights.weight.data = weights.weight.data.clone()
    draw(torch.ones(3))
    assert recorded == [((3,),), ((1,),), ((3,),)]


def inputs(frames: int):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        volume = small_networks().appearance(torch.rand(1, 3, 256, 256, generator=generator))
    points = torch.rand(1 + frames, 21, 3, generator=generator) - 0.5
    return volume, points[:1], points[1:]


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on CPUs")
@pytest.mark.filterwarnings("ignore")  # torch's own, about what it does not compile
def test_a_compiled_block_draws_what_the_plain_one_does(caplog):
    """One block of the decoder: all of W and G, which agree too, take two minutes to compile."""
    block = SpadeBlock(8, 4, 6, 5, doubling=True, repeat=2)
    with torch.no_grad():
        for one in (*block.parameters(), *block.buffers()):
            one.normal_()  # spectral convolutions begin without values
    fold(block)
    draw = accelerated(block.eval(), "compile", CPU, block)
    with torch.inference_mode(), caplog.at_level(logging.INFO):
        for frames in (2, 2):
            given = torch.randn(frames, 8, 6, 6), torch.randn(frames, 6, 6, 6)
            torch.testing.assert_close(draw(*given), block(*given), rtol=1e-3, atol=1e-3)
    assert sum("Compiling" in record.message for record in caplog.records) == 1
    assert "cannot run" not in caplog.text


def test_batches_of_fixed_shape_are_filled_up(monkeypatch):
    shapes = []

    def keeping(draw, how, device, weights):
        return lambda *given: shapes.append(tuple(given[2].shape)) or draw(*given)

    monkeypatch.setattr("talking_head.lp_core.liveportrait.renderer.accelerated", keeping)
    for how in ACCELERATIONS[:2]:
        networks, given = small_networks(), [inputs(frames) for frames in (2, 1)]
        warping_decoder = WarpingDecoder(networks.warping, networks.decoder, CPU, torch.float32, how)
        with torch.inference_mode():
            assert [len(warping_decoder.paint(*some)) for some in given] == [2, 1]
    assert shapes == [(2, 21, 3), (1, 21, 3), (2, 21, 3), (2, 21, 3)]
