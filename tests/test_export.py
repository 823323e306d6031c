"""Exports: all networks in the formats' own runtimes, and what is refused."""

import functools
import json
import re
import shutil
import sys
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs_here
import tiny
from flax import linen as nn
from PIL import Image

from discogan_jax import cli, export, images, models, runs
from discogan_jax.config import build
from discogan_jax.config.schema import from_config
from discogan_jax.errors import InputError
from discogan_jax.export import onnx_graph, registry, writing
from discogan_jax.ops import convolution
from discogan_jax.runs import translating

SIZE = runs_here.SIZE
FORMATS = [kind for kind in export.FORMATS if kind != "web"]  # test_web_page.py has that one


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    made = runs_here.config(data, train__steps=1)
    return runs_here.untrained(made, tmp_path_factory.mktemp("runs") / "sample")


@pytest.fixture
def pictures():
    return np.random.default_rng(1).integers(256, size=(5, SIZE, SIZE, 3), dtype=np.uint8)


def drawn_anew(data, path, **changes):
    """Returns an untrained run of any network with random parameters and statistics."""
    settings = from_config(runs_here.config(data, **changes))
    gan = build.gan(settings)
    state = tiny.state(gan)
    leaves, tree = jax.tree.flatten(state.gen.batch_stats)
    keys = jax.random.split(jax.random.key(7), len(leaves))
    stats = [
        jax.random.uniform(k, x.shape, minval=0.05, maxval=0.3)
        for k, x in zip(keys, leaves, strict=True)
    ]
    gen = state.gen.replace(batch_stats=tree.unflatten(stats))
    return runs.Run(path, settings, gan, 3, state.replace(gen=gen))


NETWORKS = {
    "official": {},
    "bottleneck": {"model__bottleneck": 5},
    "best": {"model__recipe": "best"},
    "book": {"model__recipe": "book"},
    "literal": {"model__recipe": "book", "model__literal": True},
    "bfloat16": {"train__precision": "bfloat16"},
    "bfloat16 book": {"model__recipe": "book", "train__precision": "bfloat16"},
}


FEW = [("official", "onnx")]
MANY = [(network, kind) for kind in ("onnx", "savedmodel") for network in NETWORKS]


@pytest.mark.parametrize(
    ("network", "kind"),
    [*FEW, *(pytest.param(*x, marks=pytest.mark.long) for x in MANY if x not in FEW)],
)
def test_every_network_in_every_format(data, tmp_path, pictures, network, kind):
    made = drawn_anew(data, tmp_path / "run", **NETWORKS[network])
    path, said = export.write(made, kind=kind)  # compares them in the format's own runtime
    assert re.search(r"on held-out pictures: \d\.\de[-+]\d\d", said)
    opened = export.Exported.open(path)
    assert (opened.directions, opened.domains) == (made.directions, made.domains)
    for way in ("ab", "ba"):
        expected = made.apply(pictures, way)
        assert expected.std() > 0.01
        error = np.abs(opened.apply(pictures, way) - expected).max() / max(1, expected.max())
        assert error < (0.1 if "bfloat16" in network else 1e-5)


def test_large_layers_take_the_form_for_any_platform(data, tmp_path, monkeypatch):
    monkeypatch.setattr(convolution, "WORTHWHILE", 0)
    made = drawn_anew(data, tmp_path / "run", model__width=32)
    _, said = export.write(made, kind="onnx", batch_size=4)
    assert "largest difference to the run on held-out pictures" in said


@pytest.mark.parametrize("kind", FORMATS)
def test_the_command_and_what_translates_with_its_result(run, tmp_path, capsys, kind):
    place, out = tmp_path / "exported", tmp_path / "out"
    arguments = ["export", str(run.path), "--format", kind, "--out", str(place), "--batch", "3"]
    assert cli.main(arguments) == 0
    assert "largest difference to the run on held-out pictures" in capsys.readouterr().out
    assert cli.main(arguments) == 0  # the existing file is replaced
    assert [p.name for p in tmp_path.iterdir()] == ["exported"]
    pixels = np.random.default_rng(0).integers(256, size=(SIZE, SIZE, 3), dtype=np.uint8)
    picture = tmp_path / "bag.png"
    Image.fromarray(pixels).save(picture)
    arguments = ["translate", str(place), str(picture), "--to", "shoes", "--out", str(out)]
    assert cli.main(arguments) == 0
    expected = images.to_uint8(run.translate(pixels[None], "shoes"))[0].astype(int)
    assert np.abs(images.read(out / "bag.png") - expected).max() <= 1
    assert cli.main([*arguments, "--step", "1"]) == 2
    assert "has no checkpoints: leave out the step" in capsys.readouterr().err
    about = export.open_translator(place).metadata
    assert about["batch_size"] == 3
    assert about["step"] == run.step
    assert about["versions"]["packages"]["jax"] == jax.__version__


@pytest.mark.parametrize("kind", FORMATS)
def test_an_export_knows_what_is_done_to_pictures(tmp_path, capsys, kind):
    """Oblong grey pictures of 12 bits, lines made thicker: all of it by the export alone."""
    data = runs_here.write_arrays(tmp_path / "data", channels=1)
    changes = {"channels": 1, "image_size": "24x16", "range": "0,4095", "thicken": "a"}
    made = runs_here.config(data, **{f"data__{name}": x for name, x in changes.items()})
    run = runs_here.untrained(made, tmp_path / "run")
    place = tmp_path / "exported"
    assert cli.main(["export", str(run.path), "--format", kind, "--out", str(place)]) == 0
    said = capsys.readouterr().out
    assert (
        "scaled to 24x16, made grey, dark lines made thicker, values of 12 bits (0 to 4095)" in said
    )
    if kind == "onnx":
        properties = pytest.importorskip("onnx").load(place / "ab.onnx").metadata_props
        said = {x.key: x.value for x in properties}
        assert said["preprocessing"] == str(run.preparations["a"])
    opened = export.open_translator(place)
    assert opened.preparations == run.preparations
    assert opened.metadata["steps"]["a"] == run.preparations["a"].steps()
    assert "24, 16, 1], grey; the program itself scales" in opened.metadata["input"]

    pixels = np.random.default_rng(0).integers(4096, size=(90, 70, 1), dtype=np.uint16)
    images.save(tmp_path / "deep.png", pixels)
    results = []
    for translator in (run.path, place):
        out = tmp_path / f"of {translator.name}.png"
        arguments = ["translate", str(translator), str(tmp_path / "deep.png"), "--to=shoes"]
        assert cli.main([*arguments, f"--out={out}", "--size=input"]) == 0
        results.append(images.load(out).pixels.astype(int))
        # The same in Python.
        made = export.open_translator(translator).translate(tmp_path / "deep.png", "shoes")
        prepared = run.preparations["a"].apply(images.load(tmp_path / "deep.png"))
        np.testing.assert_allclose(made, run.apply(prepared[None], "ab"), atol=1e-5)
    assert results[0].shape == (90, 60, 1)
    assert np.abs(results[0] - results[1]).max() <= 1


def test_a_zip_of_any_name_and_an_export_of_before(run, tmp_path, pictures):
    file, _ = export.write(run, tmp_path / "x.onnx")
    opened = export.open_translator(file)
    np.testing.assert_allclose(opened.apply(pictures, "ab"), run.apply(pictures, "ab"), atol=1e-5)
    # It was made on a CPU, and runs on any accelerator.
    with zipfile.ZipFile(file) as content:
        program = jax.export.deserialize(bytearray(content.read("ab")))
    assert {"cpu", "cuda", "rocm", "tpu"} <= {*program.platforms}
    # Earlier versions recorded the size alone.
    before = {k: v for k, v in opened.metadata.items() if k not in ("preparation", "steps")}
    preparations = export.Exported(file, before, opened.load).preparations
    assert preparations["b"] == images.Preparation(images.Size(SIZE, SIZE))


@pytest.mark.filterwarnings("ignore:(?s).*tf.lite.Interpreter is deprecated")
def test_the_examples_of_the_documentation(run, tmp_path, monkeypatch):
    """They bring a picture of any size to the model's, as the library does; one is for phones."""
    for kind in FORMATS:
        export.write(run, tmp_path / f"sample-1000{registry.load(kind).ENDING}", kind=kind)
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(256, size=(40, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("bag.png")
    expected = run.translate("bag.png", to="shoes")
    text = (Path(__file__).parents[1] / "docs" / "export.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(examples) == 4
    found = {}
    for example in examples:
        exec(example, found)
        made = found.pop("translated")
        np.testing.assert_allclose(made, run.apply(found["images"], "ab"), atol=1e-5)
        np.testing.assert_allclose(made, expected, atol=0.01)  # Pillow's own cut and scaling
    lite = found["interpreter"].get_signature_runner("ab")
    several = np.repeat(found["images"], 3, axis=0)
    np.testing.assert_allclose(lite(images=several)["translated"], made.repeat(3, 0), atol=1e-5)


def test_an_exports_translate_takes_what_a_runs_takes(run, tmp_path, pictures):
    file, _ = export.write(run, tmp_path / "x.discogan")
    opened = export.open_translator(file)
    assert repr(opened) == f"<Exported {file}: bags → shoes, shoes → bags>"
    made = opened.translate(pictures, to="shoes")
    again = opened.translate(made, to="bags")  # numbers in [0, 1], rounded to bytes
    expected = run.translate(images.to_uint8(made), to="bags")
    np.testing.assert_allclose(again, expected, atol=1e-5)
    for wrong, said in ((pictures * 1.0, r"float64 must be numbers in \[0, 1\]"),
                        (pictures[0], r"picture\[None\]")):  # fmt: skip
        for translator in (run, opened):
            with pytest.raises(InputError, match=said):
                translator.translate(wrong, to="shoes")


def test_one_onnx_file_translates_one_way_and_tells_all(run, tmp_path, pictures):
    folder, _ = export.write(run, tmp_path / "both", kind="onnx")
    alone = shutil.copy(folder / "ba.onnx", tmp_path / "anything.onnx")
    opened = export.open_translator(alone)
    assert (opened.directions, opened.domains) == (("ba",), ("bags", "shoes"))
    of_both = export.open_translator(folder).metadata
    assert opened.metadata == without_digests(of_both) | {"directions": ["ba"], "format": 2}
    np.testing.assert_allclose(opened.apply(pictures, "ba"), run.apply(pictures, "ba"), atol=1e-5)
    with pytest.raises(InputError, match="translates to bags, not 'shoes'"):
        translating.direction(opened, "shoes")


@pytest.mark.parametrize(("kind", "wrong"), [("stablehlo", 0.01), ("onnx", np.nan)])
def test_what_translates_otherwise_is_not_written(run, tmp_path, monkeypatch, kind, wrong):
    place = tmp_path / "x"
    export.write(run, place, kind=kind)
    before = {p: p.read_bytes() for p in [place, *place.glob("*")] if p.is_file()}
    monkeypatch.setattr(export.Exported, "apply", lambda self, x, d: run.apply(x, d) + wrong)
    with pytest.raises(InputError, match="x is not written: its translations differ"):
        export.write(run, place, kind=kind)
    assert list(tmp_path.iterdir()) == [place]
    assert {p: p.read_bytes() for p in before} == before


def without_digests(about):
    """What earlier versions wrote."""
    return {name: x for name, x in about.items() if name not in ("files", "sha256")} | {"format": 1}


def test_damage_is_refused(run, tmp_path, pictures, capsys):
    folder, _ = export.write(run, tmp_path / "x", kind="onnx", batch_size=1)
    about = without_digests(json.loads((folder / "about.json").read_text()))
    whole = (folder / "ab.onnx").read_bytes()
    assert cli.main(["verify", str(folder)]) == 0
    assert capsys.readouterr().out == "x: whole\n"
    (folder / "ab.onnx").write_bytes(whole[: len(whole) // 2])
    assert cli.main(["verify", str(folder)]) == 1
    assert "ab.onnx has changed since it was written" in capsys.readouterr().out
    for damaged in (folder, folder / "ab.onnx"):
        with pytest.raises(InputError, match="no exported run, or damaged"):
            export.Exported.open(damaged)
    # Of earlier versions there is no digest.
    (folder / "about.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match="cannot be loaded"):
        export.Exported.open(folder).apply(pictures, "ab")
    (folder / "ab.onnx").unlink()
    with pytest.raises(InputError, match=r"no exported run, or damaged.*ab\.onnx"):
        export.Exported.open(folder)
    (folder / "ab.onnx").write_bytes(whole)
    for wrong in (
        *({"batch_size": x} for x in (-1, 0, True, "1", 1 << 40)),
        *({"format": 2}, {"sha256": ""}, {"directions": ["ab", "ab"]}),
        {"image_size": 1 << 30, "preparation": None},
        *({"kind": "savedmodel"}, {"kind": "tar"}, {"directions": ["aa"]}, {"domains": 1}),
        *({"image_size": "big"}, {"image_size": 2 * SIZE}, {"preparation": {"a": {"size": 0}}}),
        *({"preparation": {"a": [SIZE]}}, {"preparation": {"a": {"size": SIZE, "more": 1}}}),
    ):
        (folder / "about.json").write_text(json.dumps(about | wrong))
        with pytest.raises(InputError, match="no exported run, or damaged"):
            export.open_translator(folder)
    (folder / "about.json").write_text(json.dumps(about))
    assert "has no digests" in export.open_translator(folder).remarks[0]
    writing._check_folder(folder)  # so the same command replaces it
    del about["batch_size"]
    (folder / "about.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match="it lacks batch_size"):
        export.open_translator(folder)


def test_programs_of_other_images_are_refused(run, tmp_path):
    file, _ = export.write(run, tmp_path / "x.discogan", batch_size=1)
    with zipfile.ZipFile(file) as content:
        members = {name: content.read(name) for name in content.namelist()}
    about = without_digests(json.loads(members["about.json"])) | {"image_size": 8}
    members["about.json"] = json.dumps(about | {"preparation": None})
    with zipfile.ZipFile(file, "w") as content:
        for name, member in members.items():
            content.writestr(name, member)
    with pytest.raises(InputError, match="does not translate such images: "):
        export.open_translator(file).apply(np.zeros((1, 8, 8, 3), np.uint8), "ab")


def flipped(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", flipped])
def test_a_damaged_file_is_refused(run, tmp_path, damage):
    file, _ = export.write(run, tmp_path / "x.discogan", batch_size=1)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InputError, match="no exported run, or damaged"):
        export.Exported.open(file)


@pytest.mark.parametrize("name", ["onnx", "tensorflow"])
def test_missing_packages_are_named(run, tmp_path, monkeypatch, capsys, name):
    kind = {"tensorflow": "savedmodel"}.get(name, name)
    monkeypatch.delitem(sys.modules, f"discogan_jax.export.{kind}", raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    assert cli.main(["export", str(run.path), "--format", kind, "--out", str(tmp_path / "x")]) == 2
    err = capsys.readouterr().err
    assert re.search(r"pip install ('discogan_jax\[onnx\]'|tensorflow)\. See docs/export\.md", err)
    assert not list(tmp_path.iterdir())


def as_onnx(f, shape):
    import onnxruntime

    model = onnx_graph.model(f, shape, "x", "y")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return lambda x: session.run(["y"], {"x": x})[0]


def test_every_operation_of_the_graph():
    x = np.random.default_rng(0).uniform(0.1, 0.9, (2, 6, 6, 3)).astype(np.float32)
    rng = np.random.default_rng(1)
    wide = jnp.asarray(rng.normal(size=(3, 3, 3, 4)), jnp.float32)
    odd = jnp.asarray(rng.normal(size=(3, 2, 3, 5)), jnp.float32)
    swapped = jnp.asarray(rng.normal(size=(1, 6, 3, 6)), jnp.float32)
    conv = functools.partial(
        jax.lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    functions = {
        "abs": jnp.abs, "and": lambda x: jnp.where((x > 0.2) & (x < 0.5), x, -x),
        "div": lambda x: 1.0 / x, "erf": jax.scipy.special.erf, "exp": jnp.exp,
        "log": jnp.log, "max": nn.relu, "min": lambda x: jnp.minimum(x, 0.5),
        "neg": lambda x: -x, "not": lambda x: jnp.where(~(x <= 0.5), x, 0.0),
        "or": lambda x: jnp.where((x <= 0.2) | (x == x), 2 * x, x),
        "pow": lambda x: x**jnp.float32(1.5), "sqrt": jnp.sqrt, "sigmoid": nn.sigmoid,
        "sub": lambda x: x - wide[:1, :1, :, 0].reshape(1, 1, 1, 3),
        "tanh": jnp.tanh, "leaky": nn.leaky_relu,
        "constants in another order": lambda x: x.transpose(0, 2, 3, 1) * swapped,
        "two orders": lambda x: x + conv(x, wide[..., :3], (1, 1), "SAME").transpose(0, 2, 1, 3),
        "strided": lambda x: conv(x, odd, (2, 1), "VALID"),
        "dilated kernel": lambda x: conv(x, odd, (1, 1), [(1, 0), (2, 1)], rhs_dilation=(2, 1)),
        "dilated image": lambda x: conv(x, odd, (1, 1), [(2, 1), (0, 1)], lhs_dilation=(2, 3)),
        "channels first": lambda x: jax.lax.conv_general_dilated(
            x.transpose(0, 3, 1, 2), wide.transpose(3, 2, 0, 1), (2, 2), "SAME"
        ),
        "flat": lambda x: x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1),
        "squeezed": lambda x: x.reshape(x.shape[0], 1, -1).squeeze(1),
    }  # fmt: skip
    batch = jax.export.symbolic_shape("batch")
    for name, f in functions.items():
        for n in (2, *batch):
            made = as_onnx(f, jax.ShapeDtypeStruct((n, *x.shape[1:]), x.dtype))(x)
            np.testing.assert_allclose(made, f(jnp.asarray(x)), rtol=1e-5, atol=1e-5, err_msg=name)


def test_graphs_of_oblong_grey_images():
    net = models.official_generator((28, 16), width=4, bottleneck=3)
    x = jax.random.uniform(jax.random.key(0), (2, 28, 16, 1))
    variables = jax.jit(net.init, static_argnums=2)(jax.random.key(1), x, False)
    f = jax.jit(lambda x: net.apply(variables, x, False))
    (batch,) = jax.export.symbolic_shape("batch")
    made = as_onnx(f, jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype))(np.asarray(x))
    np.testing.assert_allclose(made, f(x), rtol=1e-5, atol=1e-5)


def test_an_unknown_operation_is_refused_by_name():
    with pytest.raises(InputError, match="computes 'sort', for which the ONNX export knows no"):
        onnx_graph.model(jnp.sort, jax.ShapeDtypeStruct((3, 4), np.float32), "x", "y")
