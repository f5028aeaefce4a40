import math
from itertools import islice, pairwise

import pytest
import torch
from diffpose_goldens import DIFFLIVEHEAD, DIFFPOSETALK, DIFFPOSETALK_FULL, JOYVASA, denoiser, golden
from hypothesis import given, settings
from hypothesis import strategies as st

from talking_head.diffpose.diffusion.denoiser import WindowInput
from talking_head.diffpose.diffusion.samplers import (
    DynamicThreshold,
    Guidance,
    Prediction,
    SampleOptions,
    clean_from_noise,
    guided,
    respaced,
    sample,
    seeded_noise,
    walk,
)
from talking_head.diffpose.diffusion.schedule import SCHEDULE_NAMES, Schedule

SAMPLED = 1e-4  # absolute tolerance of a whole walk, from the goldens' own notes


def replay(tensors):
    """A noise source that gives recorded draws in order."""
    draws = iter(tensors)
    return lambda: next(draws)


def diffposetalk_input(case, batch, sizes):
    shapes = {
        "audio": (sizes["new"], sizes["width"]), "prev_audio": (sizes["context"], sizes["width"]),
        "prev_motion": (sizes["context"], 54), "indicator": (sizes["new"],), "shape": (100,), "style": (128,),
    }  # fmt: skip
    read = {name: golden("diffposetalk", f"{case}.{name}", batch, *shape) for name, shape in shapes.items()}
    return WindowInput(
        read["audio"],
        read["prev_audio"],
        read["prev_motion"],
        indicator=read["indicator"],
        shape=read["shape"],
        style=read["style"],
    )


def predictor(network, inputs, guidance):
    window = network.window(inputs, guidance.dropped())
    return guided(lambda motion, step: network.new_frames(motion, step, window), guidance)


BOTH = Guidance(audio=1.15, style=3.0)
GUIDANCE_CASES = {
    "audio_style_incremental": BOTH,
    "audio_style_independent": Guidance(audio=1.15, style=3.0, mode="independent_compat"),
    "audio_only": Guidance(audio=2.8),
    "style_only": Guidance(audio=None, style=3.0),
    "none": Guidance(audio=None),
    "style_then_audio_order": BOTH,
    "threshold": Guidance(audio=1.15, style=3.0, threshold=DynamicThreshold(0.9, 0.1, 4)),
}


@pytest.mark.parametrize("case", GUIDANCE_CASES)
def test_guidance_goldens(case):
    network = denoiser("diffposetalk", heads=4, **DIFFPOSETALK)
    predict = predictor(network, diffposetalk_input("cfg", 2, DIFFPOSETALK), GUIDANCE_CASES[case])
    noise = golden("diffposetalk", "cfg.motion_at_T", 2, 12, 54)
    # One step of training, so that the sample is the combined prediction.
    out = sample(predict, noise, replay([]), Schedule.named("cosine", 1), SampleOptions("ancestral", None))
    torch.testing.assert_close(out, golden("diffposetalk", f"cfg.theta.{case}"), atol=SAMPLED, rtol=0)


def test_independent_guidance_is_the_textbook_formula():
    entries = torch.randn(3, 2, 4, 5)
    nothing, audio, style = entries
    expected = nothing + 1.5 * (audio - nothing) + 2.5 * (style - nothing)
    guidance = Guidance(audio=1.5, style=2.5, mode="independent")
    torch.testing.assert_close(guidance.combine(entries), expected)
    assert guidance.dropped() == ({"audio", "style"}, {"style"}, {"audio"})


@pytest.mark.parametrize("mode", ["incremental", "independent", "independent_compat"])
def test_guidance_of_one_condition_is_the_same_in_every_mode(mode):
    entries = torch.randn(2, 1, 4, 5)
    combined = Guidance(audio=2.0, mode=mode).combine(entries)
    torch.testing.assert_close(combined, 2 * entries[1] - entries[0])


def test_guidance_scale_one_is_the_conditional_prediction():
    entries = torch.randn(3, 1, 4, 5)
    torch.testing.assert_close(Guidance(audio=1.0, style=1.0).combine(entries), entries[2])


ANCESTRAL = SampleOptions("ancestral", None)
WALKS = {
    "sample10flex": (2, DIFFPOSETALK, "cosine", BOTH, 0.5),
    "sample10lin": (2, DIFFPOSETALK, "linear", BOTH, 0.0),
    "sample10noise": (2, DIFFPOSETALK, "cosine", BOTH, 0.0),
}


@pytest.mark.parametrize("case", WALKS)
def test_sampling_goldens(case):
    batch, sizes, name, guidance, flexibility = WALKS[case]
    schedule = Schedule.named(name, 10)
    predict = predictor(
        denoiser("diffposetalk", heads=4, **sizes), diffposetalk_input(case, batch, sizes), guidance
    )
    if case == "sample10noise":
        predict = clean_from_noise(predict, schedule)
    noise = golden("diffposetalk", f"{case}.motion_at_T", batch, sizes["new"], 54)
    options = SampleOptions("ancestral", None, flexibility=flexibility)
    out = sample(predict, noise, replay(golden("diffposetalk", f"{case}.z")), schedule, options)
    expected = golden("diffposetalk", f"{case}.out")
    torch.testing.assert_close(out, expected, atol=1e-5 * expected.abs().max().clamp(min=10).item(), rtol=0)


def test_long_sampling_golden():
    """The first hundred of five hundred steps."""
    predict = predictor(
        denoiser("diffposetalk", heads=4, **DIFFPOSETALK), diffposetalk_input("sample500", 1, DIFFPOSETALK), BOTH
    )
    noise = golden("diffposetalk", "sample500.motion_at_T", 1, 12, 54)
    schedule = Schedule.named("cosine", 500)
    draws = golden("diffposetalk", "sample500.z")
    states = walk(predict, noise, replay(draws), schedule, ANCESTRAL)
    reached = {state.step: state.motion for state in islice(states, 100)}
    for step in (499, 400):
        torch.testing.assert_close(
            reached[step], golden("diffposetalk", f"sample500.x_{step}"), atol=SAMPLED, rtol=0
        )


@pytest.mark.parametrize(
    ("case", "steps"),
    [("sample50_legacy", 50), ("sample50_fixed", 50), ("start", 10), ("theta_1step", 1)],
)
def test_joyvasa_sampling_goldens(case, steps):
    batch = 2 if case == "theta_1step" else 1
    network = denoiser("joyvasa", position="sequential" if case.endswith("fixed") else "legacy", **JOYVASA)
    context_motion, context_audio = network.start(1)
    if case != "start":
        context_motion = golden("joyvasa", f"{case}.prev_motion", batch, 5, 70)
        context_audio = golden("joyvasa", f"{case}.prev_audio", batch, 5, 64)
    inputs = WindowInput(golden("joyvasa", f"{case}.audio", batch, 20, 64), context_audio, context_motion)
    noise = golden("joyvasa", f"{case}.motion_at_T", batch, 20, 70)
    draws = replay(golden("joyvasa", f"{case}.z") if steps > 1 else [])
    schedule = Schedule.named("cosine", steps)
    out = sample(predictor(network, inputs, Guidance(2.8)), noise, draws, schedule, ANCESTRAL)
    torch.testing.assert_close(out, golden("joyvasa", f"{case}.out"), atol=SAMPLED, rtol=0)


def test_threshold_golden_at_full_size():
    guidance = Guidance(audio=1.15, style=3.0, threshold=DynamicThreshold(0.99, 1, 4))
    case, sizes = "sample10full", DIFFPOSETALK_FULL
    predict = predictor(denoiser("diffposetalk", **sizes), diffposetalk_input(case, 1, sizes), guidance)
    noise = golden("diffposetalk", f"{case}.motion_at_T", 1, 100, 54)
    draws = replay(golden("diffposetalk", f"{case}.z"))
    out = sample(predict, noise, draws, Schedule.named("cosine", 10), ANCESTRAL)
    torch.testing.assert_close(out, golden("diffposetalk", f"{case}.out"), atol=SAMPLED, rtol=0)


def shrinking(motion, step):
    """A predictor with a known answer that depends on both of its inputs."""
    clean = 0.3 * motion + math.cos(step)
    return Prediction(clean, clean)


@pytest.mark.parametrize("name", SCHEDULE_NAMES)
def test_ddim_with_all_steps_and_all_noise_is_ancestral(name):
    schedule = Schedule.named(name, 40)
    noise, draws = torch.randn(2, 6, 3), torch.randn(39, 2, 6, 3)
    ancestral = sample(shrinking, noise, replay(draws), schedule, ANCESTRAL)
    implicit = sample(shrinking, noise, replay(draws), schedule, SampleOptions("ddim", None, eta=1.0))
    torch.testing.assert_close(implicit, ancestral, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_ddim_gives_back_what_a_perfect_predictor_knows(eta):
    clean = torch.randn(1, 6, 3)
    options = SampleOptions("ddim", 3, eta=eta)
    out = sample(
        lambda _motion, _step: Prediction(clean, clean),
        torch.randn(1, 6, 3),
        lambda: torch.randn(1, 6, 3),
        Schedule.named("cosine", 50),
        options,
    )
    torch.testing.assert_close(out, clean, atol=1e-5, rtol=1e-5)


def test_ddim_without_noise_walks_the_same_line_in_fewer_steps():
    """With motion that is Gaussian the true predictor is linear, and the walk ends near the same point."""
    schedule = Schedule.named("cosine", 1000)

    def gaussian(motion, step):
        clean = math.sqrt(schedule.alpha_bars[step].item()) * motion
        return Prediction(clean, clean)

    noise = torch.randn(1, 6, 3)
    fine, coarse = (
        sample(gaussian, noise, lambda: torch.zeros_like(noise), schedule, SampleOptions(steps=n, eta=0.0))
        for n in (500, 100)
    )
    torch.testing.assert_close(fine, coarse, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("steps", [3, 5, 7])
def test_dittos_schedule_gives_no_nan_at_few_steps(steps):
    out = sample(
        shrinking,
        torch.randn(1, 4, 3),
        lambda: torch.randn(1, 4, 3),
        Schedule.named("ditto", 1000),
        SampleOptions(steps=steps, eta=1.0),
    )
    assert torch.isfinite(out).all()


def test_start_step_begins_late_from_unit_noise():
    visited = []

    def predict(motion, step):
        visited.append(step)
        return shrinking(motion, step)

    options = SampleOptions("ancestral", None, start_step=10)
    sample(predict, torch.randn(1, 2, 3), lambda: torch.randn(1, 2, 3), Schedule.named("cosine", 50), options)
    assert visited == list(range(10, 0, -1))


@given(start=st.integers(1, 1000), data=st.data())
@settings(max_examples=50, deadline=None)
def test_respaced_steps_fall_strictly_from_start_to_clean(start, data):
    count = data.draw(st.integers(1, start))
    times = respaced(start, count)
    assert times[0] == start
    assert times[-1] == 0
    assert len(times) == count + 1
    assert all(after < before for before, after in pairwise(times))


def test_seeds_tell_noise_and_do_not_touch_torchs_own():
    torch.manual_seed(5)
    first, second, other = (seeded_noise(seed, (2, 3)) for seed in (7, 7, 8))
    draws = [first(), second(), other()]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert not torch.equal(first(), draws[0])
    untouched = torch.randn(3)
    torch.manual_seed(5)
    assert torch.equal(torch.randn(3), untouched)


def test_sampling_computes_in_single_precision_whatever_the_network_gives():
    predict = guided(lambda motion, _step: motion.half(), Guidance())
    out = sample(
        predict, torch.randn(1, 4, 3), lambda: torch.randn(1, 4, 3), Schedule.named("cosine", 9), ANCESTRAL
    )
    assert out.dtype == torch.float32


def test_all_entries_of_guidance_are_evaluated_together():
    """One call of the network a step, whatever is guided."""
    sizes = []

    def network(motion, _step):
        sizes.append(len(motion))
        return 0.5 * motion

    options = SampleOptions(steps=4, guidance=Guidance(1.5, 2.0))
    draw = seeded_noise(1, (2, 4, 3))
    sample(guided(network, options.guidance), draw(), draw, Schedule.named("cosine", 9), options)
    assert sizes == [3 * 2] * 4
    assert draw().device.type == "cpu"


def test_threshold_limits_each_of_the_batch_by_itself():
    prediction = torch.tensor([0.1, 1.0, 30.0])[:, None, None] * torch.linspace(-1, 1, 12).view(1, 4, 3)
    limited = DynamicThreshold(1.0, 0.5, 2.0).apply(prediction)
    assert torch.equal(limited[:2], prediction[:2])
    assert limited[2].abs().max() == 2


@pytest.mark.parametrize("name", ["cosine", "linear", "quadratic", "sigmoid"])
@pytest.mark.parametrize("steps", [10, 50, 500])
def test_schedule_goldens(name, steps):
    schedule = Schedule.named(name, steps)
    betas = golden("basic", f"sched.{name}.{steps}.betas").double()
    # The last steps are ratios of what single precision holds few digits of.
    torch.testing.assert_close(schedule.betas, betas, rtol=3e-5, atol=2e-6)
    bars = golden("basic", f"sched.{name}.{steps}.alpha_bars").double()
    torch.testing.assert_close(schedule.alpha_bars, bars, rtol=1e-5, atol=2e-6)
    sigmas = torch.tensor([schedule.sigma(t) for t in range(1, steps + 1)])
    expected = golden("basic", f"sched.{name}.{steps}.sigmas_inflex")[1:]
    # The reference takes 1 - ᾱ in single precision, which leaves four digits at the first steps.
    torch.testing.assert_close(sigmas, expected, rtol=2e-4, atol=4e-6)


def test_dittos_schedule_golden():
    expected = golden("ditto", "sched.alphas_cumprod").double()
    torch.testing.assert_close(Schedule.named("ditto", 1000).alpha_bars[1:], expected, rtol=1e-5, atol=1e-6)


def test_flexible_noise_reaches_from_the_posterior_to_beta():
    schedule = Schedule.named("cosine", 20)
    assert schedule.sigma(7, 1.0) == pytest.approx(math.sqrt(schedule.betas[7].item()))
    assert schedule.sigma(7) < schedule.sigma(7, 0.5) < schedule.sigma(7, 1.0)
    assert schedule.sigma(1) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Schedule.named("linear", 0), "at least one step; got 0"),
        (lambda: Schedule.named("cubic", 5), "known are cosine"),
        (lambda: SampleOptions("euler"), "expected one of ancestral, ddim"),
        (lambda: SampleOptions("ancestral", 5), "choose ddim"),
        (lambda: SampleOptions(steps=0), "steps is 0; expected 1 … 1000"),
        (lambda: SampleOptions(eta=1.5), "eta is 1.5; expected 0 … 1"),
        (lambda: Guidance(mode="both"), "guidance mode is 'both'"),
        (lambda: Guidance(audio=math.nan), "audio guidance is nan; expected 0 … 10"),
        (lambda: DynamicThreshold(quantile=0), "quantile must lie"),
        (lambda: DynamicThreshold(least=3, most=2), "least ≤ most; got 3 and 2"),
    ],
)
def test_options_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(("window", "context"), [(0, 10), (1, 67), (2, 67), (3, 67)])
def test_hazard_10_window_goldens(window, context):
    """Ten of fifty steps from unit noise, with the unguided prediction of the last one beside the motion."""
    network = denoiser("difflivehead", **DIFFLIVEHEAD)
    mapped = network.audio_map(golden("hazard10", "stream.audio_latent", 4, 75, 768)[window : window + 1])
    still = torch.zeros(1, context, 25)
    inputs = WindowInput(
        mapped[:, context:],
        mapped[:, :context],
        torch.cat([still, *(golden("hazard10", f"stream.w{before}.gen") for before in range(window))], 1)[
            :, -context:
        ],
        shape=golden("hazard10", "stream.shape"),
        mouth_open_ratio=golden("hazard10", "stream.mouth", 1, 1),
        mean_expression=golden("hazard10", "stream.mean_exp"),
    )
    case, new = f"stream.w{window}", 75 - context
    options = SampleOptions("ancestral", None, start_step=10)
    # hazard-10 adds its scale, 0.65, to the conditional prediction.
    states = walk(
        predictor(network, inputs, Guidance(audio=1.65)),
        golden("hazard10", f"{case}.motion_at_T", 1, new, 25),
        replay(golden("hazard10", f"{case}.z")),
        Schedule.named("cosine", 50),
        options,
    )
    *_, last = states
    torch.testing.assert_close(last.motion, golden("hazard10", f"{case}.gen"), atol=SAMPLED, rtol=0)
    unguided = last.prediction.unconditional
    torch.testing.assert_close(unguided, golden("hazard10", f"{case}.null"), atol=SAMPLED, rtol=0)
