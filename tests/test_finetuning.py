"""Runs that start from trained weights: what they take over, draw anew and record."""

import json
import pickle
import re
import shutil
import sys
from dataclasses import replace

import fuzz
import golden_weights as gw
import jax
import jax.numpy as jnp
import numpy as np
import pages
import pytest
import runs_here
import tiny

from discogan_jax import cli, interop, models
from discogan_jax.commands import card
from discogan_jax.config import schema
from discogan_jax.errors import InputError
from discogan_jax.runs import changes, report, weights
from discogan_jax.runs import run as runs_run
from discogan_jax.state import Adam, create_state
from discogan_jax.train import train_and_evaluate, variants

ADAM = Adam(2e-4, 0.5, 0.999)
SIDES = ("gen", "dis")


def system(recipe="official", size=16, ema=None):
    """Networks of the recipe for square images."""
    generator, discriminator = models.RECIPES[recipe]
    gan = tiny.gan(tx=ADAM, ema_decay=ema)
    networks = (generator(size, width=4), discriminator(size, width=4))
    return replace(gan, generator=networks[0], discriminator=networks[1])


def shapes_of(gan, shape):
    return jax.eval_shape(lambda key: create_state(key, gan, shape), jax.random.key(0))


def state_of(gan, shape, seed):
    """A state of random numbers, those of the optimizers included, on the device."""
    shapes = shapes_of(gan, shape)
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), x.dtype), shapes)


def trained(gan, shape=(16, 16, 3), seed=1):
    return weights.Weights("runs/there", 7, shape, jax.device_get(state_of(gan, shape, seed)))


def arrays(player, layer):
    """The arrays of a layer and of its normalization, by network."""
    found = {}
    for collection in (player.params, player.batch_stats):
        for network, layers in collection.items():
            for name in (layer, f"{layer}_norm"):
                for leaf, x in layers.get(name, {}).items():
                    found[network, name.removeprefix(layer), leaf] = np.asarray(x)
    return found


def assert_equal(one, other):
    assert one
    assert one.keys() == other.keys()
    for name, x in one.items():
        np.testing.assert_array_equal(x, other[name])


@pytest.mark.parametrize("optimizers", [False, True])
def test_the_same_networks_are_taken_whole(optimizers):
    gan = system()
    source, new = trained(gan), state_of(gan, (16, 16, 3), 2)
    fit = weights.fit(source, new, (16, 16, 3), optimizers=optimizers)
    made = fit.apply(new)
    assert fit.drawn == ()
    for side in SIDES:
        there, here, drawn = (getattr(x, side) for x in (source.state, made, new))
        runs_here.assert_same(here.params, there.params)
        runs_here.assert_same(here.batch_stats, there.batch_stats)
        kept = there if optimizers else drawn
        runs_here.assert_same(here.opt_state, kept.opt_state)
    assert (made.step, made.updates) == (new.step, new.updates)
    networks = (source.state.gen, source.state.dis)
    count = sum(len(jax.tree.leaves((x.params, x.batch_stats))) for x in networks)
    assert fit.record == {
        "from": "runs/there", "step": 7, "digest": source.digest, "taken": count, "drawn": [],
        "optimizers": optimizers,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "here", "there", "matched", "drawn"),
    [
        ("official", 64, 32, {"up_1": "up_0", "up_2": "up_1"}, "gen down_3, gen up_0, dis down_3"),
        ("official", 32, 64, {"up_0": "up_1", "up_1": "up_2", "down_2": "down_2"}, ""),
        # The second layer on the way up is a transposed convolution, the third is none.
        ("best", 64, 32, {"up_1": "up_0"}, "gen down_3, gen up_0, gen up_2, dis down_3"),
        ("best", 32, 64, {"up_0": "up_1"}, "gen up_1"),
        (
            "book",
            64,
            32,
            {"up_1": "up_0", "up_2": "up_1", "up_3": "up_2"},
            "gen down_3, gen up_0, dis down_4, dis hidden",
        ),
    ],
)
def test_other_sizes_take_every_layer_that_is_the_same(recipe, here, there, matched, drawn):
    source = trained(system(recipe, there), (there, there, 3))
    new = state_of(system(recipe, here), (here, here, 3), 2)
    fit = weights.fit(source, new, (here, here, 3))
    made = fit.apply(new)
    # The logit sees the deepest features.
    expected = {"dis out", *drawn.split(", ")} - {""}
    words = {"generator": "gen", "discriminator": "dis"}
    found = [name.split() for name in fit.drawn]
    assert {f"{words[side]} {layer}" for side, layer in found} == expected
    for side in SIDES:
        player, old = getattr(made, side), getattr(new, side)
        for layer in {name.removesuffix("_norm") for x in player.params.values() for name in x}:
            if f"{side} {layer}" in expected:
                assert_equal(arrays(player, layer), arrays(old, layer))
            else:
                name = matched.get(layer, layer)
                taken = arrays(getattr(source.state, side), name)
                assert_equal(arrays(player, layer), taken)


def test_channels_recipes_and_forms_keep_what_is_the_same():
    def drawn(source, recipe, shape):
        side = max(shape[:2])
        new = shapes_of(system(recipe, side), shape)
        return weights.fit(source, new, shape).drawn

    grey = drawn(trained(system()), "official", (16, 16, 1))
    assert grey == ("generator down_0", "generator out", "discriminator down_0")
    # Biases in place of a normalization, or beside a kernel, make another layer.
    assert "discriminator down_1" in drawn(trained(system()), "best", (16, 16, 3))
    # 64x32 and 32x64 have as many features, in another order.
    source = trained(system("book", 32), (32, 64, 3))
    assert drawn(source, "book", (64, 32, 3))[-2:] == ("discriminator hidden", "discriminator out")


@pytest.mark.parametrize(("there", "here"), [(None, 0.9), (0.9, 0.9), (0.9, None)])
def test_averages_come_from_averages_or_parameters(there, here):
    source = trained(system(size=32, ema=there), (32, 32, 3))
    new = state_of(system(ema=here), (16, 16, 3), 2)
    fit = weights.fit(source, new, (16, 16, 3))
    made = fit.apply(new)
    if here is None:
        assert made.ema is None
        return
    old = source.state
    averages, stats = (
        (old.gen.params, old.gen.batch_stats) if there is None else (old.ema, old.ema_stats)
    )
    for network in ("ab", "ba"):
        runs_here.assert_same(made.ema[network]["down_0"], averages[network]["down_0"])
        runs_here.assert_same(made.ema_stats[network]["down_1_norm"], stats[network]["down_1_norm"])
    assert "generator up_0" not in fit.drawn


def test_what_does_not_fit_is_explained():
    wide = state_of(replace(system(), generator=models.official_generator(16, width=8),
                            discriminator=models.official_discriminator(16, width=8)),
                    (16, 16, 3), 2)  # fmt: skip
    with pytest.raises(InputError, match=r"no layer fits: .* use their model\.recipe"):
        weights.fit(trained(system()), wide, (16, 16, 3))
    larger = state_of(system(size=32), (32, 32, 3), 2)
    with pytest.raises(InputError, match="generator down_2 is drawn anew: leave out --init_opt"):
        weights.fit(trained(system()), larger, (32, 32, 3), optimizers=True)
    lacking = trained(system())
    players = [replace(getattr(lacking.state, side), opt_state=()) for side in SIDES]
    lacking = replace(lacking, state=replace(lacking.state, gen=players[0], dis=players[1]))
    with pytest.raises(InputError, match="there are none of these networks"):
        weights.fit(lacking, state_of(system(), (16, 16, 3), 2), (16, 16, 3), optimizers=True)


# Places


@pytest.fixture(scope="module")
def source(data, tmp_path_factory):
    """A run with two checkpoints that was never trained."""
    made = runs_here.config(data, train__steps=2)
    return runs_here.untrained(made, tmp_path_factory.mktemp("there") / "my run", (1, 2)).path


def test_a_run_a_step_a_checkpoint_and_a_card_are_places(source, tmp_path, monkeypatch):
    last, first = weights.read(source), weights.read(f"{source}:1")
    assert (last.step, first.step) == (2, 1)
    assert last.digest != first.digest
    assert weights.read(source / "checkpoints" / "1").digest == first.digest
    folder = card.write(runs_run.open(source, 1), tmp_path / "a card")
    assert weights.read(folder).digest == first.digest
    monkeypatch.setenv("HOME", str(source.parent))
    assert weights.read("~/my run:1").digest == first.digest
    shutil.copytree(source, tmp_path / "run:1")
    assert weights.read(tmp_path / "run:1").step == 2


@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("{run}:7", "has no checkpoint 7; it has 1, 2"),
        ("{run}:last", "a step or 'best' must follow the colon, not 'last'"),
        ("{run}/samples", "is no run directory: it has no config.json"),
        ("{run}/none:1", "there is no folder"),
    ],
)
def test_mistakes_are_found_before_pictures_are_decoded(source, tmp_path, place, named):
    place = place.format(run=source)
    made = runs_here.config(tmp_path / "no pictures", train__init_from=place)
    with pytest.raises(InputError) as raised:
        train_and_evaluate(made, tmp_path / "new")
    assert str(raised.value).startswith(f"config.train.init_from={place}: ")
    assert named in str(raised.value)
    assert not (tmp_path / "new").exists()


def test_a_start_may_be_renamed(source, tmp_path):
    there, directory = str(source), tmp_path / "tuned"
    directory.mkdir()
    settings = schema.from_config(runs_here.config(tmp_path, train__init_from=there))
    record = weights.of_settings(settings).record
    changes.record(directory, 0, init=record)
    moved = shutil.copytree(source, tmp_path / "moved")
    for name, found in ((str(moved), there), (f"{moved}:1", f"{moved}:1"), ("gone", "gone")):
        other = replace(settings, train=replace(settings.train, init_from=name))
        assert weights.named_as_before(other, directory).train.init_from == found


def test_domains_in_the_other_order_are_refused(source, tmp_path):
    swapped = {"domains": ("shoes", "bags"), "train__init_from": str(source)}
    made = runs_here.config(tmp_path / "no pictures", **swapped)
    with pytest.raises(InputError, match="its a is bags and its b shoes, here it is the other way"):
        train_and_evaluate(made, tmp_path / "new")


def test_a_sweep_looks_at_all_its_sources_first(source, tmp_path):
    starts = [variants.Variant(x, {"train.init_from": x}) for x in (str(source), "nowhere")]
    with pytest.raises(InputError, match="nowhere: there is no folder"):
        variants.plan(runs_here.config(tmp_path), starts, tmp_path / "sweep")


def test_a_run_has_one_start(tmp_path):
    """One that was killed before its first checkpoint reads the weights again."""
    init = {"from": "there", "digest": "0", "taken": 1, "drawn": [], "optimizers": False}
    for step in (1, 2):
        changes.record(tmp_path, 0, init=init | {"step": step})
    assert [change["init"]["step"] for change in changes.read(tmp_path)] == [2]


# Runs


def test_a_run_starts_from_weights_and_resumes_without_them(data, source, tmp_path, cache):
    place = tmp_path / "there"
    shutil.copytree(source, place)
    new = tmp_path / "new"
    command = [
        "train",
        "official",
        *runs_here.command(data, new, train__steps=1, train__sample_every=0)[1:],
    ]
    command += [f"--init_from={place}:1", "--init_optimizers"]
    assert cli.main(command) == 0
    (change,) = changes.read(new)
    taken = weights.read(f"{place}:1")
    count = change["init"].pop("taken")
    assert change == {"step": 0, "init": {"from": f"{place}:1", "step": 1, "digest": taken.digest,
                                          "drawn": [], "optimizers": True}}  # fmt: skip
    text = f"the weights of {place}:1, step 1 (digest {taken.digest}): {count} arrays taken"
    assert text in json.dumps(report.read_run(new, "new"), ensure_ascii=False)
    config = json.loads((new / "config.json").read_text())
    assert config["train"]["init_from"] == f"{place}:1"
    assert config["train"]["init_optimizers"] is True

    # The card names the run, but no folder of this machine.
    folder = card.write(runs_run.open(new), tmp_path / "card")
    said = (folder / card.CARD_FILE).read_text()
    assert "| start | the weights of there:1, step 1 (digest" in said
    assert str(tmp_path) not in said + (folder / "config.json").read_text()

    # The source is not needed any more, but belongs to the run.
    shutil.rmtree(place)
    assert cli.main([*command, "--config.train.steps=2"]) == 0
    assert runs_here.steps_saved(new)[-1] == 2
    assert len(changes.read(new)) == 1
    assert cli.main([*command[:-2], "--config.train.steps=3"]) == 2
    # Without a checkpoint it would be read again.
    shutil.rmtree(new / "checkpoints")
    assert cli.main(command) == 2


def test_a_state_stays_on_its_devices_and_shares_no_memory():
    source, new = trained(system()), state_of(system("best", ema=0.9), (16, 16, 3), 2)
    made = weights.fit(source, new, (16, 16, 3)).apply(new)
    assert jax.tree.map(lambda x: x.sharding, made) == jax.tree.map(lambda x: x.sharding, new)
    # A step donates its state: no array may be there twice.
    pointers = [x.unsafe_buffer_pointer() for x in jax.tree.leaves(made)]
    assert len({*pointers}) == len(pointers)


def test_two_spellings_must_agree(source, capsys):
    same = ["train", "sample", "--init_from=here", "--config.train.init_from=there"]
    assert cli.main(same) == 2
    said = "--init_from and --config.train.init_from=there contradict each other: give one of them"
    assert capsys.readouterr().err == f"{said}\n"
    assert cli.main(["train", "sample", "--init_optimizers"]) == 2
    assert "train.init_optimizers without train.init_from has no effect" in capsys.readouterr().err


# Weights of the official PyTorch code


def official_tensors():
    """Random weights of four networks of the published code, by its names."""
    generator, discriminator = (
        gw.official_generator_shapes(False),
        gw.official_discriminator_shapes(),
    )
    shapes = {"gen_A": generator, "gen_B": generator, "dis_A": discriminator}
    shapes |= {"dis_B": discriminator}

    def narrow(shape):
        return tuple(n // 16 if n > 4 else n for n in shape)

    return {
        file: gw.official_tensors(seed, {name: narrow(x) for name, x in found.items()})
        for seed, (file, found) in enumerate(shapes.items())
    }


def write_safetensors(folder, tensors, suffix=".safetensors"):
    numpy = pytest.importorskip("safetensors.numpy")
    folder.mkdir(parents=True, exist_ok=True)
    for name, found in tensors.items():
        numpy.save_file({n: np.ascontiguousarray(x) for n, x in found.items()},
                        folder / f"{name}{suffix}")  # fmt: skip
    return folder


def test_official_weights_are_those_of_interop(tmp_path, caplog):
    torch = pytest.importorskip("torch")
    tensors = official_tensors()
    half = {name: {n: x.astype(np.float16) for n, x in f.items()} for name, f in tensors.items()}
    rounded = {name: {n: x.astype(np.float32) for n, x in f.items()} for name, f in half.items()}
    caplog.set_level("INFO")
    found = weights.read(write_safetensors(tmp_path / "half", half))
    assert "float16 became float32" in caplog.text
    for name, f in rounded.items():
        # Parameters themselves have gradients, the tensors of a state dict have none.
        kind = torch.tensor if "dis" in name else lambda x: torch.nn.Parameter(torch.tensor(x))
        counted = {n: kind(x) for n, x in f.items()}
        counted["bn2.num_batches_tracked" if "dis" in name else "main.3.num_batches_tracked"] = (
            torch.tensor(3)
        )
        torch.save(counted, tmp_path / f"{name}.{'pt' if 'gen' in name else 'pth'}")
    assert weights.read(tmp_path).digest == found.digest
    assert (found.step, found.image_shape) == (None, (64, 64, 3))

    # generator_B makes B.
    files = {"ab": "gen_B", "ba": "gen_A", "a": "dis_A", "b": "dis_B"}
    for network, file in files.items():
        generates = len(network) == 2
        player = found.state.gen if generates else found.state.dis
        convert = interop.generator_from_torch if generates else interop.discriminator_from_torch
        expected = convert(rounded[file])
        runs_here.assert_same(player.params[network], expected["params"])
        runs_here.assert_same(player.batch_stats[network], expected["batch_stats"])

    # They are the whole of such a system.
    new = shapes_of(system(size=64), (64, 64, 3))
    assert weights.fit(found, new, (64, 64, 3)).drawn == ()


@pytest.mark.filterwarnings("ignore:Environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
def test_the_lines_of_the_page_turn_a_run_of_theirs_into_such_a_folder(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    from benchmarks import torch_networks

    nets = torch_networks.networks("official", (64, 64), 4, 3)
    (tmp_path / "models").mkdir()
    (tmp_path / "weights").mkdir()
    for file, network in {"gen_A": "ba", "gen_B": "ab", "dis_A": "a", "dis_B": "b"}.items():
        torch.save(nets[network], tmp_path / "models" / f"model_{file}-1.0")
    with pytest.raises(InputError, match="documentation of fine-tuning"):
        weights.read(tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # as their version of PyTorch
    page = (pages.ROOT / "docs" / "finetuning.md").read_text()
    exec(next(x for x in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "torch" in x), {})
    monkeypatch.undo()
    found = weights.read(tmp_path / "weights")
    kernel = nets["ab"].state_dict()["main.2.weight"]
    np.testing.assert_array_equal(
        found.state.gen.params["ab"]["down_1"]["kernel"], kernel.permute(2, 3, 1, 0)
    )


class Payload:
    """An object that creates a folder when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.mark),)


def test_nothing_is_unpickled(tmp_path):
    torch = pytest.importorskip("torch")
    folder, mark = write_safetensors(tmp_path / "weights", official_tensors()), tmp_path / "mark"
    (folder / "gen_A.safetensors").unlink()
    file = folder / "gen_A.pt"
    whole = torch.nn.Linear(2, 2)
    other = ([torch.ones(3)], {"epoch": 3, 1: torch.ones(3)})
    for content in (Payload(mark), {"main.0.weight": Payload(mark)}, whole, *other):
        torch.save(content, file)
        with fuzz.watched(tmp_path) as found, pytest.raises(InputError) as raised:
            weights.read(folder)
        assert "the documentation of fine-tuning has three lines" in str(raised.value)
        assert not [event for event in found if "mkdir" in event]
    for content in (pickle.dumps(Payload(mark)), b"", b"abc", bytes(1000)):
        file.write_bytes(content)
        with pytest.raises(InputError, match=r"gen_A\.pt (is damaged|holds more than tensors)"):
            weights.read(folder)
    assert not mark.exists()
    # A folder as the authors' script leaves it.
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "model_gen_A-1.0").write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(
        InputError, match=r"has model_gen_A-1\.0: the authors' script pickles whole"
    ):
        weights.read(tmp_path / "theirs")


def test_other_files_and_networks_are_named(tmp_path):
    def said(changed):
        folder = tmp_path / "weights"
        shutil.rmtree(folder, ignore_errors=True)
        write_safetensors(folder, changed)
        with pytest.raises(InputError) as raised:
            weights.read(folder)
        return str(raised.value).removeprefix(f"{folder}")

    good = official_tensors()
    place = write_safetensors(tmp_path / "steps", good)
    with pytest.raises(InputError, match="which have no steps: leave out :3"):
        weights.read(f"{place}:3")
    lacking = said({n: good[n] for n in ("gen_A", "dis_A")})
    assert lacking.endswith("it has dis_A.safetensors, gen_A.safetensors")
    assert "gen_B.safetensors, gen_C.safetensors" in said(good | {"gen_C": good["gen_A"]})
    assert "/gen_B.safetensors: not an official generator" in said(good | {"gen_B": good["dis_A"]})
    surplus = good["dis_A"] | {"conv1.bias": np.zeros(4, np.float32)}
    assert "not the official network: it has conv1.bias" in said(good | {"dis_A": surplus})
    lacking = {n: x for n, x in good["gen_A"].items() if n != "main.3.bias"}
    assert "not the official network: it lacks main.3.bias" in said(good | {"gen_A": lacking})
    odd = good["gen_A"] | {"main.11.weight": np.zeros((32, 9, 4, 4), np.float32)}
    found = weights.read(write_safetensors(tmp_path / "odd", good | {"gen_A": odd}))
    new = shapes_of(system(size=64), (64, 64, 3))
    assert weights.fit(found, new, (64, 64, 3)).drawn == ("generator up_0",)
    bad = good["gen_A"] | {"main.0.weight": np.full((4, 3, 4, 4), np.inf, np.float32)}
    assert "main.0.weight has numbers that are not finite" in said(good | {"gen_A": bad})
    whole = good["gen_A"] | {"main.0.weight": np.zeros((4, 3, 4, 4), np.int32)}
    assert "main.0.weight is of type int32" in said(good | {"gen_A": whole})
    folder = write_safetensors(tmp_path / "damaged", good)
    (folder / "gen_A.safetensors").write_bytes(b"abc")
    with pytest.raises(InputError, match=r"gen_A\.safetensors is damaged"):
        weights.read(folder)


@pytest.mark.parametrize(
    ("package", "suffix", "advice"),
    [
        ("torch", ".pt", "needs PyTorch, which is not installed: pip install torch, or save"),
        ("safetensors", ".safetensors", r"needs the package safetensors: pip install 'discogan"),
    ],
)
def test_missing_packages_are_named(tmp_path, monkeypatch, package, suffix, advice):
    write_safetensors(tmp_path, official_tensors(), suffix)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=advice):
        weights.read(tmp_path)
