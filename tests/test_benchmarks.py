"""The benchmarks measure what they claim; no test depends on the speed of the machine."""

import itertools
import json
import math
import re
from dataclasses import replace
from functools import partial

import golden_weights as gw
import jax
import numpy as np
import optax
import pytest
import runs_here
import tiny
from PIL import Image
from test_golden_official import trace_name

from benchmarks import (
    blind,
    comparison,
    data,
    demo,
    flops,
    harness,
    layers,
    loop,
    machine,
    matching,
    pages,
    processes,
    quality,
    render,
    report,
    tables,
    train_step,
)
from benchmarks.harness import Case, Implementation
from discogan_jax import images, models
from discogan_jax.data import catalogue
from discogan_jax.evaluation import probe
from discogan_jax.runs import manifest


class FakeClock:
    """A clock that advances only in the implementations."""

    def __init__(self):
        self.now, self.log = 0.0, []

    def __call__(self):
        return self.now

    def side(self, name, seconds, times=1):
        def call():
            self.log.append(name)
            return seconds

        def wait(took):  # where asynchronous work ends
            self.now += took

        return Implementation(name, call, wait, times)


def test_sides_take_turns():
    clock = FakeClock()
    work = Case("w", [clock.side("a", 1.0), clock.side("b", 2.0), clock.side("c", 3.0)])
    seconds = harness.measure([work], 35.0, clock)
    assert "".join(clock.log[:3]) == "abc"
    # 6 s of warm-up, then rounds of 6 s: four fit into 35 s.
    assert "".join(clock.log[3:]) == "abcbcacababc"
    assert seconds["w"] == {"a": [1.0] * 4, "b": [2.0] * 4, "c": [3.0] * 4}


def test_three_rounds_whatever_the_budget():
    clock = FakeClock()
    seconds = harness.measure([Case("w", [clock.side("a", 1.0)])], 0.0, clock)
    assert seconds["w"]["a"] == [1.0] * 3


def test_short_calls_are_repeated_and_loops_divided():
    clock = FakeClock()
    work = Case("w", [clock.side("short", harness.TURN / 4), clock.side("loop", 1.0, times=5)])
    seconds = harness.measure([work], 0.0, clock)
    assert clock.log.count("short") == 1 + 3 * 4
    assert clock.log.count("loop") == 1 + 3
    # The clock advances in `wait`, once per run of four calls.
    np.testing.assert_allclose(seconds["w"]["short"], harness.TURN / 16)
    np.testing.assert_allclose(seconds["w"]["loop"], 0.2)


def test_ratio_is_of_medians_and_paired():
    reference = [1.0, 2.0, 3.0, 4.0, 50.0]
    ratio, low, high = harness.ratio([2 * x for x in reference], reference)
    assert (ratio, low, high) == (2.0, 2.0, 2.0)  # noise common to both cancels
    # The range is that of the rounds: three of them give no 95% interval.
    assert harness.ratio([3.0, 9.0, 6.0], [1.0, 2.0, 3.0]) == (3.0, 2.0, 4.5)


def test_summary_and_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(harness, "TURN", 0.0)
    monkeypatch.setitem(machine.MATRIX, "cpu", 8)
    work = Case(
        "w",
        [Implementation("a", int), Implementation("b", int)],
        1e9,
        {"xla_flops": {"by XLA": 2e9}},
    )
    monkeypatch.setattr(machine, "load", iter((1.5, 2.5)).__next__)
    report.run("name", lambda: ([work], {"c": "no compiler"}), 0.0, {"batch": 2})
    (path,) = (tmp_path / "results").iterdir()
    assert path.name == f"name-{machine.slug()}.json"
    written = json.loads(path.read_text())
    assert written["load"] == {"start": 1.5, "end": 2.5}
    assert written["settings"].keys() == {"batch", "budget", "took"}
    assert written["skipped"] == {"c": "no compiler"}
    row = written["works"]["w"]["sides"]["b"]
    assert row["n"] == len(row["seconds"]) == 3
    assert row["median"] == np.median(row["seconds"])
    assert math.isclose(row["gflops_per_second"], 1 / row["median"])
    assert written["works"]["w"]["reference"] == "a"
    printed = capsys.readouterr().out
    assert "w: GFLOP 1.00 by hand, 2.00 by XLA" in printed
    assert "skipped: c: no compiler" in printed
    (line,) = [line for line in tables.section(written).splitlines() if line.startswith("| w | b")]
    assert line.count("|") == 7


def test_a_run_is_stopped_for_bare_steps(monkeypatch):
    clock, written = FakeClock(), []
    monkeypatch.setattr(loop.time, "perf_counter", clock)

    class Inner:
        def write_scalars(self, step, scalars):
            written.append(step)

    def bare():
        clock.now += 1000.0  # must not be counted as the run's
        return 1.5

    stopped = loop.Interrupting(Inner(), bare, first=20, block=40)
    for step in range(10, 120, 10):
        clock.now += 30.0 if step == 70 else 20.0
        stopped.write_scalars(step, {"data_wait_fraction": 0.9 if step <= 20 else 0.1})
    assert written == list(range(10, 120, 10))
    assert stopped.run == [(80.0, 40), (90.0, 40)]
    assert stopped.bare == [1.5] * 3
    assert stopped.waits == [0.1] * 9


def test_processes_take_turns(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    taken = []

    def turn(side):
        taken.append(side)
        return {"seconds": len(taken) * {"a": 1.0, "b": 2.0}[side], side: 1.0}

    processes.run("name", ["a", "b"], turn, budget=0.0, settings={}, least_rounds=3)
    assert "".join(taken) == "abbaab"
    (path,) = tmp_path.iterdir()
    written = json.loads(path.read_text())
    assert written["turns"]["b"][0] == {"seconds": 4.0, "b": 1.0}
    row = written["sides"]["b"]["seconds"]
    assert (row["median"], row["range"], row["n"]) == (6.0, [4.0, 12.0], 3)
    assert row["ratio"] == 6.0 / 4.0
    assert "1.500" in capsys.readouterr().out
    lines = tables.section(written).splitlines()
    assert "| seconds | 4 (1–5) | 6 (4–12) |" in lines
    assert "| a | 1 (1–1) |  |" in lines


def test_a_turn_that_fails_says_what_it_wrote():
    with pytest.raises(RuntimeError, match=r"benchmarks.data --turn nothing failed:[^!]*nothing"):
        processes.take("benchmarks.data", "nothing", [])


UNITS = "s|ms|µs|minutes|seconds|hours|[KMGT]i?B|dB|°|%|times|TFLOP|steps per second"
MEASURED = re.compile(rf"(?<![\w.])\d[\d.,]*\s?(?:{UNITS})(?!\w)|±\s?\d")
NOT_KEPT = re.compile(r"## Observed once, not kept in a file\n.*?(?=\n## |\Z)", re.DOTALL)


@pytest.mark.parametrize("page", pages.PAGES)
def test_pages_say_what_the_results_give(page):
    text, found = (render.ROOT / page).read_text(), render.load()
    assert render.rendered(page, text, found) == text, "python -m benchmarks.render mends it"
    # A digit that is changed, in any table or sentence, is noticed and mended.
    places = [m.span(3) for m in render.TABLE.finditer(text)]
    for sentence in pages.SENTENCES[page]:
        (match,) = render.pattern(sentence).finditer(text)
        places += [match.span(i) for i in range(1, match.re.groups + 1)]
    changed = list(text)
    for start, end in places:
        at = next(i for i in range(start, end) if text[i].isdigit())
        changed[at] = str((int(text[at]) + 1) % 10)
    assert render.rendered(page, "".join(changed), found) == text
    # No other number has a unit of speed, memory or quality.
    for pattern in (render.TABLE, NOT_KEPT, *map(render.pattern, pages.SENTENCES[page])):
        text = pattern.sub("", text)
    assert not MEASURED.findall(text)


def test_pages_follow_the_results():
    texts = {page: (render.ROOT / page).read_text() for page in pages.PAGES}
    found = render.load()

    def changed():
        return {p for p, text in texts.items() if render.rendered(p, text, found) != text}

    for seed in found["quality-bags-shoes-32px"]["recipes"]["best"]["values"]["psnr"]:
        seed[-1] += 1.0
    best_ones = {"docs/results.md", "docs/comparison.md", "discogan_jax/configs/best.py"}
    assert changed() == best_ones
    cycle = found["train_step-book-64px-batch16"]["works"]["cycle"]
    cycle["sides"]["torch published"]["ratio"] += 1.0
    assert {"README.md", "docs/performance.md"} < changed()
    with pytest.raises(ValueError, match="0 times instead of once"):
        render.rendered("README.md", texts["README.md"].replace("PyTorch loop", "loop"), found)
    del found["collectives-book-batch256"]
    with pytest.raises(KeyError):
        render.rendered("docs/scaling.md", texts["docs/scaling.md"], found)


def test_results_of_two_machines_are_not_mixed(tmp_path):
    for name, machine_ in (("a", {}), ("b", {"gpu": "H200"}), ("c", {})):
        facts = {"benchmark": "layers", "machine": machine_}
        (tmp_path / f"{name}.json").write_text(json.dumps(facts))
        if name == "b":
            assert set(render.load(tmp_path)) == {"layers", "layers on H200"}
    with pytest.raises(SystemExit, match="layers of two machines"):
        render.load(tmp_path)


def test_an_archive_is_repeated(tmp_path):
    """Training pictures are repeated, the others are not; both implementations can read them."""
    catalogue.write_archives(tmp_path, train=3, val=2)
    made = data.repeated(tmp_path / "edges2shoes.tar.gz", 4, tmp_path)
    for way in data.WAYS:
        assert data.one_turn(way, made)["pictures"] == 12


@pytest.mark.parametrize(
    ("recipe", "size", "channels"),
    [
        *(("official", (64, 64), 3), ("official", (96, 64), 1)),
        *(("book", (64, 64), 3), ("book", (80, 80), 9)),
    ],
)
def test_flops_agree_with_xla(recipe, size, channels):
    """XLA omits the products with padding and also counts the rest of the program."""
    gan = train_step.library(recipe, size, 16)
    generator, discriminator = getattr(flops, recipe)(size, 16, channels)
    for module, count in ((gan.generator, generator), (gan.discriminator, discriminator)):
        image = jax.ShapeDtypeStruct((1, *size, channels), np.float32)
        variables = jax.eval_shape(lambda x, m=module: m.init(jax.random.key(0), x, True), image)
        lowered = jax.jit(module.apply, static_argnums=2).lower(variables, image, False)
        assert 0.8 < lowered.cost_analysis()["flops"] / sum(count) < 1.2


def test_flops_of_the_updates_follow_from_the_layers():
    (g1, *_), (d1, *_) = networks = flops.official(64)
    G, D = map(sum, networks)
    counts = flops.updates("official", 64, 2)
    assert counts["D update"] == 2 * (2 * G + 12 * D - 4 * d1)
    assert counts["G update"] == 2 * (12 * G - 2 * g1 + 6 * D)
    assert counts["cycle"] == counts["D update"] + 2 * counts["G update"]
    assert sum(flops.official(64)[0]) == 2 * 16 * (32**2 * 3 * 64 + 3 * 16**2 * 64 * 128) * 2


def test_flax_side_is_not_ours_although_networks_are_traced_once():
    gan = train_step.library("official", 16, 4)
    state = train_step.create_state(jax.random.key(0), gan, (16, 16, 3))
    batch = {d: np.zeros((2, 16, 16, 3), np.uint8) for d in "ab"}

    def own_derivatives() -> int:
        traced = jax.make_jaxpr(lambda s, b: train_step.steps.g_step(gan, s, b))(state, batch)
        return str(traced).count("custom_vjp")

    ours = own_derivatives()
    with train_step.flax_layers():
        assert own_derivatives() == 0
    assert own_derivatives() == ours > 0


@pytest.mark.long
def test_jax_sides_go_on_training_and_agree(monkeypatch):
    """Flax's own layers compute the same; both implementations keep the state that they donate."""
    images = {
        d: np.random.RandomState(i).randint(256, size=(3, 2, 16, 16, 3), dtype=np.uint8)
        for i, d in enumerate("ab")
    }
    gan = train_step.library("official", 16, 4)
    ours, counts = train_step.jax_calls(gan, images)
    with train_step.flax_layers():
        assert models.ConvTranspose is not layers.layers.ConvTranspose
        theirs, _ = train_step.jax_calls(gan, images)
    assert models.ConvTranspose is layers.layers.ConvTranspose
    assert set(counts) == set(train_step.WORKS)
    for i, work in enumerate(train_step.WORKS):
        (state, a), (_, b) = ours[work](), theirs[work]()
        assert state.updates == (1, 2, 5)[i]
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-3, err_msg=name)


def test_layer_candidates_agree():
    small = (layers.Layer("conv", 8, 3, 4), layers.Layer("transpose", 4, 4, 3))
    works = list(layers.works(small, 2))
    assert [w.name for w in works][::3] == [
        "conv 3→4 at 8×8, forward",
        "transpose 4→3 at 4×4, forward",
    ]
    sides = {tuple(s.name for s in w.sides) for w in works}
    assert sides == {("plain", "library", "library, loop")}
    assert works[0].flops == works[3].flops == 2 * 2 * 16 * 16 * 12


# PyTorch implementations against the golden numbers. `test_golden_official` and `test_golden_book`
# explain the tolerances.
KINDS = pytest.mark.parametrize("kind", ["Published", "Tuned"])
DIS, GEN = "disc_loss", "gen_loss"
WEIGHT = {"kernel": "weight"}


def trainer(kind, recipe, tensors, weights=None, size=64, **fields):
    """Builds a PyTorch implementation with some weights of the networks and of the losses."""
    torch = pytest.importorskip("torch")
    from benchmarks import torch_networks, torch_updates

    torch.set_num_threads(1)  # other tests run in parallel
    nets = torch_networks.networks(recipe, size, **fields)
    for name, values in tensors.items():
        expected = {n for n, p in nets[name].named_parameters() if p.requires_grad}
        assert expected == set(values)
        found = {n: torch.tensor(x) for n, x in values.items()}
        nets[name].load_state_dict(found, strict=False)  # there are no running statistics
    gan = train_step.library(recipe, 64)
    gan = gan if weights is None else replace(gan, weights=weights)
    return getattr(torch_updates, kind)(nets, gan, "cpu")


def official(kind, extra, weights):
    """Returns the implementation, the golden numbers, and a batch function; `G_A` is `ba`."""
    shapes = [gw.official_generator_shapes(extra)] * 2 + [gw.official_discriminator_shapes()] * 2
    base, nets = (2000 if extra else 1000), ("ba", "ab", "a", "b")
    tensors = {n: gw.official_tensors(base + i, shapes[i]) for i, n in enumerate(nets)}
    fields = {"bottleneck": 100} if extra else {}
    golden = gw.load("official_extra" if extra else "official")
    side = trainer(kind, "official", tensors, weights, **fields)
    return side, golden, partial(draw, base + 100, (4, 3, 64, 64))


def draw(base, shape, k=0):
    """Returns batch `k` as NCHW with channels last in memory, whatever the order of drawing."""
    import torch

    rng = np.random.RandomState(base + k)
    found = {}
    for d in "ab":
        x = torch.from_numpy(rng.random_sample(shape).astype(np.float32))
        x = x if shape[1] == 3 else x.permute(0, 3, 1, 2)
        found[d] = x.contiguous(memory_format=torch.channels_last)
    return found


def terms_and_gradients(side, batch):
    """Computes all terms and, for each total, the gradients of each network's parameters."""
    terms, gradients = {}, {}
    for total in (DIS, GEN):
        side.nets.zero_grad()
        if hasattr(side, "losses"):
            found = side.losses(batch)
        else:
            found = side.d_losses(batch) if total == DIS else side.g_losses(batch, side.rate())
        found[total].backward()
        terms |= {k: v.item() for k, v in found.items()}
        gradients[total] = {
            name: {n: p.grad.numpy().copy() for n, p in net.named_parameters() if p.requires_grad}
            for name, net in side.nets.items()
            if (len(name) == 2) == (total == GEN)
        }
    return terms, gradients


@pytest.mark.parametrize("extra", [False, True])
@KINDS
def test_torch_official_losses_and_gradients(kind, extra):
    weights = replace(train_step.library("official", 64).weights, rate_start=None)
    side, golden, batch = official(kind, extra, weights)
    terms, gradients = terms_and_gradients(side, batch())
    for term in ("recon", "gen", "fm", "dis"):
        for domain in "AB":
            actual = terms[trace_name(f"{term}_{domain}")]
            np.testing.assert_allclose(actual, golden[f"loss/{term}_{domain}"], 1e-5, 1e-5)
    networks = {
        "grad_gen/G_A": "ba",
        "grad_gen/G_B": "ab",
        "grad_dis/D_A": "a",
        "grad_dis/D_B": "b",
    }
    for theirs, ours in networks.items():
        for name, gradient in gradients[GEN if len(ours) == 2 else DIS][ours].items():
            label = f"{theirs}/{name}"
            gw.check_gradient(gradient, golden[label], label, 5e-3 if extra else 5e-4)


@KINDS
def test_torch_nine_iterations(kind):
    weights = train_step.library("official", 64).weights
    weights = replace(weights, rate_start=0.01, rate_updates=6)
    side, golden, batch = official(kind, False, weights)
    columns = [trace_name(str(column)) for column in golden["run/trace_columns"]]
    seen = set()
    for i, row in enumerate(golden["run/trace"]):
        terms = (side.g_update if i % 3 else side.d_update)(batch(i))
        tolerance = [1e-4, 1e-3, 2e-2, *[5e-2] * 6][i]
        for name, expected in zip(columns, row, strict=True):
            if kind == "Published" or name in terms:  # `Tuned` computes only these
                seen.add(name)
                np.testing.assert_allclose(
                    terms[name].item(), expected, tolerance, tolerance, err_msg=f"{i} {name}"
                )
    assert seen == set(columns)


def book_name(name):
    """Returns PyTorch's name of a tensor of the book from this library's."""
    layer, kind = gw.book_path(name)
    norm, layer = layer.endswith("_norm"), layer.removesuffix("_norm")
    if not layer.startswith(("down", "up")):
        return f"{layer}_norm.bias" if norm else f"{layer}.{WEIGHT.get(kind, kind)}"
    group, i = layer.split("_")
    # The first convolution has no norm; the first up-sampling one has.
    return (
        f"{group}_norms.{int(i) - (group == 'down')}.bias"
        if norm
        else f"{group}.{i}.{WEIGHT.get(kind, kind)}"
    )


def book_layout(name, value):
    """Converts a tensor of the book to PyTorch's layout and its order of `pixel_shuffle`."""
    if name.startswith("deconv"):
        *rest, depth = value.shape
        value = value.reshape(*rest, 4, depth // 4).swapaxes(-1, -2).reshape(value.shape)
    return value.transpose({4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[value.ndim])


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # warns that it is slow
@KINDS
def test_torch_book_losses_and_gradients(kind):
    """Domain a is shoes, domain b is bags."""
    networks = {"ab": "generator_sb", "ba": "generator_bs"}
    networks |= {"a": "discriminator_s", "b": "discriminator_b"}
    shapes = [gw.book_generator_shapes()] * 2 + [gw.book_discriminator_shapes()] * 2
    tensors = {}
    for i, net in enumerate(networks):
        drawn = gw.book_tensors(5000 + i, shapes[i])
        tensors[net] = {book_name(n): book_layout(n, x) for n, x in drawn.items()}
    side, golden = trainer(kind, "book", tensors), gw.load("book")
    terms, gradients = terms_and_gradients(side, draw(5100, (4, 64, 64, 3)))
    for d, s in ("as", "bb"):
        names = {f"gen_{d}_loss": f"gen_{s}_loss", f"disc_{d}_loss": f"disc_{s}_loss"}
        names |= {f"const_{d}_loss": f"const_loss_{s}", GEN: GEN, DIS: DIS}
        for ours, theirs in names.items():
            np.testing.assert_allclose(terms[ours], golden[f"fixed/loss/{theirs}"], rtol=2e-5)
    for i, (ours, theirs) in enumerate(networks.items()):
        total = GEN if len(ours) == 2 else DIS
        for name, shape in shapes[i].items():
            place = book_layout(name, np.arange(math.prod(shape)).reshape(shape))
            gradient = np.empty(math.prod(shape))
            gradient[place] = gradients[total][ours][book_name(name)]
            label = f"fixed/grad_{total}/{theirs}/{name}"
            gw.check_gradient(gradient, golden[label], label, 3e-3)


BEST = {"down_0": "main.0", "down_1": "main.2", "up_0": "main.4", "out": "main.6.1"}
SGD = optax.sgd(1.0)
BEST_JUDGE = {"down_0": "conv1", "down_1": "conv2", "out": "conv3"}


def best_tensors(params):
    """Converts parameters of the networks of `best` at 16 px to PyTorch's names and layout."""
    return {
        net: {
            f"{(BEST if len(net) == 2 else BEST_JUDGE)[layer]}.{WEIGHT.get(kind, kind)}": np.array(
                x.transpose(3, 2, 0, 1) if x.ndim == 4 else x
            )
            for layer, values in layers.items()
            for kind, x in values.items()
        }
        for net, layers in params.items()
    }


@KINDS
def test_torch_best_trains_as_the_library_does(kind):
    gan, size = train_step.library("best", 16, 4), (16, 16)
    before, batches = tiny.state(gan), tiny.batch(4, updates=3)
    tensors = best_tensors(before.gen.params | before.dis.params)
    side = trainer(kind, "best", tensors, size=size, width=4)
    nchw = {d: np.array(x.transpose(0, 1, 4, 2, 3)) for d, x in batches.items()}
    each = [{d: side_tensor(x[i]) for d, x in nchw.items()} for i in range(3)]

    # With SGD at rate 1, the library's parameters show its gradients.
    plain = replace(gan, gen_tx=SGD, dis_tx=SGD)
    start = tiny.state(plain)
    first = {d: x[0] for d, x in batches.items()}
    terms, gradients = terms_and_gradients(side, each[0])
    for step, total in ((tiny.d_step, DIS), (tiny.g_step, GEN)):
        after, metrics = step(plain, start, first)
        for name, value in metrics.items():
            np.testing.assert_allclose(terms[name], value, rtol=1e-4, err_msg=name)
        player = (start.dis, after.dis) if total == DIS else (start.gen, after.gen)
        moved = jax.tree.map(lambda a, b: a - b, *(p.params for p in player))
        for net, values in best_tensors(moved).items():
            for name, expected in values.items():
                scale = np.abs(expected).max()
                found = gradients[total][net][name]
                np.testing.assert_allclose(found, expected, atol=2e-3 * scale, err_msg=name)

    # A cycle with both optimizers, and the averages after it.
    side.nets.zero_grad()
    terms, (after, metrics) = side.cycle(each), tiny.train_step(gan, before, batches)
    assert "identity_a_loss" in terms
    for name in terms.keys() & metrics.keys():
        if kind == "Published" and name.startswith("disc"):
            continue  # it computes these again in an update of the generators
        np.testing.assert_allclose(terms[name].item(), metrics[name], rtol=5e-3, err_msg=name)
    averages = best_tensors(after.ema)
    names = [(net, n) for net in ("ab", "ba") for n, _ in side.nets[net].named_parameters()]
    off = [
        np.abs(x.numpy() - averages[net][n]).mean()
        for x, (net, n) in zip(side.ema, names, strict=True)
    ]
    assert np.mean(off) < 0.05 * gan.gen_tx.learning_rate


def side_tensor(x):
    import torch

    return torch.from_numpy(x).contiguous(memory_format=torch.channels_last)


def curves(psnr, seconds_per_step=1.0, steps=(10, 20, 30), row="psnr"):
    return comparison.Curves(seconds_per_step, list(steps), {row: psnr})


def measure(row):
    (found,) = [m for m in comparison.MEASURES if m.row == row]
    return found


def final(values, row="psnr"):
    """Curves of which the last values alone matter."""
    return curves([[0.0, 0.0, value] for value in values], row=row)


class TestComparison:
    """What is computed from the metrics of runs; another test reads those of a real run."""

    def test_both_directions_and_their_mean_are_of_the_right_images(self):
        numbers = {
            "eval/a_to_b/coverage": 1.0,
            "eval/b_to_a/coverage": 2.0,
            "eval/a_to_b/psnr": 50.0,  # for example to a true pair
            "eval/a_to_b_to_a/psnr": 3.0,
            "eval/b_to_a_to_b/psnr": 4.0,
            "eval/b_to_a/hue_error": 7.0,  # undefined in the other direction
            "const_a_loss": 9.0,
        }
        assert measure("coverage").of(numbers) == {"a_to_b": 1.0, "b_to_a": 2.0, "": 1.5}
        assert measure("psnr").of(numbers)[""] == 3.5
        assert measure("hue_error").of(numbers) == {}
        last = {"eval/a_to_b/border_chroma": 0.25, "eval/b_to_a/border_chroma": 0.75}
        real = {"a_to_b/border_chroma": 0.1, "b_to_a/border_chroma": 0.2, "a_to_b/coverage": 1.0}
        found = comparison.Curves.of(1.0, [5, 10], [[numbers, numbers | last]], real)
        assert set(found.values) == {
            *("coverage", "a_to_b/coverage", "b_to_a/coverage"),
            *("psnr", "a_to_b_to_a/psnr", "b_to_a_to_b/psnr"),
            *("border_chroma", "a_to_b/border_chroma", "b_to_a/border_chroma"),
        }
        assert found.values["b_to_a/coverage"] == [[2.0, 2.0]]
        np.testing.assert_equal(found.values["border_chroma"], [[math.nan, 0.5]])
        assert found.real == {"border_chroma": pytest.approx(0.15)}
        assert "(real ones: 0.15)" in comparison.table({"best": found})

    def test_equal_time_is_read_between_measurements(self):
        found = curves([[1.0, 3.0, 4.0], [0.0, 0.0, 8.0]], 2.0)
        assert found.at("psnr", 30.0) == [2.0, 0.0]
        assert found.at("psnr", 50.0) == [3.5, 4.0]
        assert found.at("psnr", 60.0) == [4.0, 8.0]
        # No interpolation before the first and after the last measurement.
        assert found.at("psnr", 1.0) == [1.0, 0.0]
        assert found.at("psnr", 99.0) == [4.0, 8.0]

    def test_the_end_of_the_challenger_is_equal_time(self):
        found = {"official": curves([[0.0, 0.0, 1.0]]), "best": curves([[0.0, 0.0, 1.0]], 2.0)}
        assert comparison.equal_time(found) == 30.0
        found["cyclegan"] = curves([[0.0, 0.0, 1.0]], 0.1, (200, 400, 600))  # as long as `best`
        assert comparison.equal_time(found) == pytest.approx(60.0)

    def test_the_table_says_who_is_good_sooner(self):
        found = {
            "official": curves([[1.0, 2.0, 6.0]]),
            "best": curves([[5.0, 6.0, 7.0]], 0.5, steps=(40, 60, 80)),
        }
        head, _, line = comparison.table(found).splitlines()
        assert head.startswith(
            "|  | `official`, 30 steps | `best`, 80 steps | `best` after the same"
        )
        assert "the same 30 s (60 steps)" in head
        # `best` reaches the 6 dB that `official` has at second 30 at second 30, too.
        assert line == "| round-trip PSNR in dB | 6.00 | 7.00 | 6.00 | 1.0 times sooner |"
        reversed_ = {"official": found["best"], "best": found["official"]}
        assert comparison.table(reversed_).endswith("| never |")

    def test_median_and_range_of_seeds(self):
        assert comparison.spread([0.9, 0.1, 0.2]) == "0.200 (0.100 to 0.900)"
        assert comparison.spread([30.0]) == "30.0"
        assert comparison.spread([5.0, math.nan, 7.0]) == "6.00 (5.00 to 7.00, 2 of 3 seeds)"
        assert comparison.spread([math.nan] * 2) == "–"

    def test_of_five_seeds_23_of_25_pairs_decide(self):
        official = [1.0, 2.0, 3.0, 4.0, 5.0]
        # One seed of `best` is below two, then three, of `official`: 23 and 22 pairs favour it.
        for lowest, winner in ((3.5, "best"), (2.5, None)):
            found = {"official": final(official), "best": final([lowest, 6, 7, 8, 9])}
            assert comparison.winner(measure("psnr"), found) == winner
            assert comparison.winner(measure("psnr"), found, "official", "best") == winner
        found = {"official": final(official, "hue_error")}
        found["cyclegan"] = final([6, 7, 8, 9, 10], "hue_error")
        hue = measure("hue_error")  # of which less is better
        assert comparison.winner(hue, found, "cyclegan", "official") == "official"

    def test_equal_recipes_seldom_differ(self):
        """Of all ways to deal the ranks to two recipes, 5% at most decide; 10% of three seeds."""
        for seeds, most in ((5, 0.05), (4, 0.05), (3, 0.1), (2, 1 / 3)):
            ranks = set(range(2 * seeds))
            dealt = list(itertools.combinations(ranks, seeds))
            found = [
                comparison.winner(
                    measure("psnr"), {"official": final(ranks - {*x}), "best": final(x)}
                )
                for x in dealt
            ]
            assert found.count("best") == found.count("official") > 0
            assert 1 - found.count(None) / len(dealt) <= most + 1e-9

    def test_few_seeds_must_all_agree(self):
        official = final([1.0, 2.0, 3.0])
        for best, winner in (([4, 5, 6], "best"), ([2.5, 5, 6], None), ([3, 5, 6], None)):
            found = {"official": official, "best": final(best)}
            assert comparison.winner(measure("psnr"), found) == winner
        one = {"official": final([1.0]), "best": final([9.0])}
        assert comparison.winner(measure("psnr"), one) is None
        undefined = {"official": official, "best": final([4.0, 5.0, math.nan])}
        assert comparison.winner(measure("psnr"), undefined) is None

    def test_what_is_bold_is_ahead_of_all_others(self):
        values = {"best": [7, 8, 9], "official": [1, 2, 3], "cyclegan": [4, 5, 6]}
        found = {name: final(x) for name, x in values.items()}
        report = {"recipes": {name: vars(c) for name, c in found.items()}}
        report = json.loads(json.dumps(report))
        assert comparison.read(report) == found
        table = comparison.table_after_equal_time({"x": report}, [*values], comparison.DECISIVE)
        head, _, line = table.splitlines()
        assert head == "|  | x: `best` | x: `official` | x: CycleGAN |"
        assert line.count("**") == 2
        assert "| **8.00 (7.00 to 9.00)** |" in line
        values["cyclegan"][2] = 7.5
        report["recipes"]["cyclegan"]["values"]["psnr"][2][-1] = 7.5
        assert "**" not in comparison.table_after_equal_time({"x": report}, [*values])

    def test_the_challenge_is_shown_where_it_was_run(self):
        found = render.load()
        head, *lines = pages.TABLES["challenged"](found).splitlines()
        assert [head.count(f"bags ↔ shoes, {size} px:") for size in (32, 64)] == [3, 3]
        assert len(lines) == 1 + 6
        for one in found.values():
            one.get("recipes", {}).pop("cyclegan", None)
        with pytest.raises(KeyError, match="no results have cyclegan"):
            pages.TABLES["challenged"](found)


@pytest.mark.long
def test_a_start_is_timed_until_its_first_step(data, tmp_path):
    flags = runs_here.command(data, tmp_path / "run")
    found = processes.take("benchmarks.startup", "second start", ["--", *flags])
    assert [*found][-1] == "first step begun"
    assert [*found.values()] == sorted(found.values())
    assert manifest.steps(tmp_path / "run" / "checkpoints") == []


@pytest.mark.long
def test_quality_of_real_runs(tmp_path, monkeypatch, capsys):
    """Two calls with a seed each, and a third one that collects and takes the grids."""
    pytest.importorskip("torch")
    monkeypatch.setattr(runs_here, "SIZE", 24)
    # The judge need not be a good one.
    monkeypatch.setattr(probe, "fit", partial(probe.fit, steps=20))
    data = runs_here.write_arrays(tmp_path / "data")
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(quality, "PAGES", tmp_path)
    sources = [f"arrays:{data / name}" for name in runs_here.DOMAINS]
    small = ["--image_size=24", "--batch=4", "--narrow=16", "--steps=10", "--points=2"]
    grids = tmp_path / "grids"

    def call(*seeds):
        monkeypatch.setattr(
            "sys.argv",
            [
                *("quality", "--name=x", *small, f"--folder={tmp_path}", f"--grids={grids}"),
                *("--recipes", "official", "best", "cyclegan"),
                *("--seeds", *seeds, "--sources", *sources),
            ],
        )
        quality.main()
        return capsys.readouterr().out

    assert "| coverage |" in call("0")
    call("1")
    assert call("0", "1").count("finished before, skipped") == 4
    [path] = tmp_path.glob("quality-x-*.json")
    kept = json.loads(path.read_text())
    assert "took" in kept["settings"]
    assert list(kept["recipes"]) == ["official", "best", "cyclegan"]
    ends = {}
    for name, found in kept["recipes"].items():
        assert found["steps"] == [5, 10] or name == "cyclegan"
        assert np.shape(found["values"]["coverage"]) == (2, 2)
        one, other = (found["values"][f"{d}/coverage"] for d in ("bags_to_shoes", "shoes_to_bags"))
        np.testing.assert_allclose(np.mean([one, other], 0), found["values"]["coverage"], 1e-4)
        ends[name] = found["steps"][-1] * found["seconds_per_step"]
    assert ends["cyclegan"] == pytest.approx(ends["official"])
    with Image.open(tmp_path / "quality-x.png") as picture:
        assert picture.width > 500
    # The time may be over before the first grid of `best`.
    assert {f"{n},seed={s}.png" for n in ("official", "cyclegan") for s in (0, 1)} <= {
        path.name for path in grids.iterdir()
    }
    assert blind.write_pairs(grids, ["official", "cyclegan"], tmp_path / "blind") == 2


def test_a_blind_look(tmp_path, monkeypatch, capsys):
    recipes = {"official": 10, "best": 200}
    for seed in range(8):
        for name, grey in recipes.items():
            pixels = np.full((20, 30, 3), grey + seed, np.uint8)
            images.save(tmp_path / "grids" / f"{name},seed={seed}.png", pixels)
    out = tmp_path / "out"

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["blind", str(out), *map(str, arguments)])
        blind.main()
        return capsys.readouterr().out

    assert call("--grids", tmp_path / "grids").startswith("8 pairs")
    # All are there, on either side and in any order.
    seen = [images.read(out / f"pair_{i:02}.png") for i in range(1, 9)]
    sides = [(int(x[0, 0, 0]), int(x[0, -1, 0])) for x in seen]
    assert {frozenset(pair) for pair in sides} == {frozenset((10 + i, 200 + i)) for i in range(8)}
    assert "best" not in "".join(json.loads((out / "key.json").read_text())["digests"][0])
    # Whoever chooses the brighter one has chosen `best`; choices are final, and complete.
    choices = out / "choices.txt"
    for bad in ("1 2", "1 2 0 1 2 0 1 3"):
        choices.write_text(bad)
        with pytest.raises(SystemExit):
            call("--choices", choices)
        assert "choices for 8 pairs" in capsys.readouterr().err
    brighter = ["1" if left > right else "2" for left, right in sides]
    choices.write_text("\n".join([*brighter[:-2], "0", "12".replace(brighter[-1], "")]))
    assert call("--choices", choices) == "best: 6, official: 1, no difference: 1\n"
    for again in (("--choices", choices), ("--grids", tmp_path / "grids")):
        with pytest.raises(SystemExit):
            call(*again)
    assert "revealed before" in (problems := capsys.readouterr().err)
    assert "pairs already" in problems


def test_matches_are_judged_by_the_first_six():
    wanted = matching.Shown(np.array([350.0]), np.array([0.5]), np.array([1]))
    hues = np.array([10.0, 330.0, np.nan, 350.0, 350.0, 350.0, 170.0])
    shown = matching.Shown(hues, np.linspace(0.4, 1.0, 7), np.array([1, 1, 1, 0, 0, 0, 1]))
    cut = matching.Cut(np.zeros(1), np.zeros(7), wanted, shown)
    found = matching.agreement(np.arange(7)[None], cut)
    assert found["hue"] == pytest.approx((20 + 20) / 5)  # the short way round, where there is one
    assert found["lightness"] == pytest.approx((0.1 + 0 + 0.1 + 0.2 + 0.3 + 0.4) / 6)
    assert found["pattern"] == 0.5
    unknown = cut._replace(shows=wanted._replace(pattern=np.array([-1])))
    assert "pattern" not in matching.agreement(np.arange(7)[None], unknown)


def test_the_demo_is_judged_by_its_worse_direction(tmp_path):
    measures = {
        "bags_to_shoes/true_hue_error": 5.0,
        "shoes_to_bags/true_hue_error": 7.0,
        "bags_to_shoes/coverage": 0.2,
        "shoes_to_bags/coverage": 0.1,
        "bags_to_shoes_to_bags/psnr": 21.0,
        "shoes_to_bags_to_shoes/psnr": 20.0,
    }
    worse = {name: demo.worse(measures, name) for name in ("true_hue_error", "coverage", "psnr")}
    assert worse == {"true_hue_error": 7.0, "coverage": 0.1, "psnr": 20.0}
    # The first interval includes compilation, so that its speed does not count.
    lines = [{"step": n, "steps_per_second": v} for n, v in ((10, 0.1), (20, 4.0), (30, 6.0))]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    assert demo.training_seconds(tmp_path, 100) == 20.0
    found = {"seeds": [1, 2], "measures": {name: [3.0, 5.0] for name in demo.MEASURES}}
    found["seconds"] = [60.0, 61.0]
    *_, last = demo.table(found).splitlines()
    assert last == "| median (range) | " + "4.00 (3.00 to 5.00) | " * 4 + "60.5 (60.0 to 61.0) |"
