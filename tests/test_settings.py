"""A config is validated once, in one place, and every field has an effect."""

import ast
import dataclasses
import math
import runpy
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import discogan_jax
from discogan_jax.config import build, flags, schema, validate
from discogan_jax.configs import default
from discogan_jax.data.cache import Splits
from discogan_jax.errors import InputError
from discogan_jax.files import write_json
from discogan_jax.runs import layout, run
from discogan_jax.state import Adam
from discogan_jax.train import recorder

KEYS = st.one_of(st.text(), st.integers(), st.binary(), st.tuples(st.integers()), st.none())
ODD = [
    *(-(10**400), 2**31, 2**32, 1e39, 5e-324, np.float64("nan"), np.int32(3)),
    *("book", "tf", "none", "\0", "\ud800", "~nobody/x", "line\nline", b"x", ("a",)),
    *(dict, print, object(), Path("x"), np.zeros(3), np.array(1), {"items": 3}),
]
HUGE = st.integers(5000, 6000).map(lambda digits: 10**digits)  # Python refuses to print them
PLAIN = st.one_of(KEYS, st.booleans(), st.floats(), st.integers(-(2**40), 2**40), HUGE)
HOSTILE = st.recursive(
    st.one_of(PLAIN, st.sampled_from(ODD)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(), inner, max_size=3),
        st.tuples(inner, inner),
    ),
    max_leaves=4,
)
SECTIONS = ["data", "model", "loss", "optim", "train"]
PACKAGE = Path(discogan_jax.__file__).parent
SHIPPED = sorted((PACKAGE.parent / "configs").glob("[!_]*.py"))


def changed(**fields):
    """The default config with some fields, dots written as two underscores, changed."""
    config = default.get_config()
    for name, value in fields.items():
        *sections, field = name.split("__")
        section = config
        for part in sections:
            section = section[part]
        with section.ignore_type():
            section[field] = value
    return config


def test_default_config_becomes_settings():
    s = schema.from_config(default.get_config())
    assert (s.domains, s.data.batch_size, s.optim.b1) == (("bags", "shoes"), 256, 0.9)
    assert s.loss.rate is None
    assert s.archives is None
    assert schema.from_config(changed(optim__b1=0)).optim.b1 == 0.0  # an int where a float is due


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_config_is_accepted(path):
    config = runpy.run_path(str(path))["get_config"]()
    s = schema.from_config(config)
    assert schema.from_config(config.to_dict()) == s
    assert "python -m experiments." in (runpy.run_path(str(path))["__doc__"] or "")


def test_edges_and_photos_alone_have_a_curriculum():
    early, late = (0.01, 0.99), (0.5, 0.5)
    for name in ("official", "gpu", "folders", "best", "sample", "edges_photos"):
        gan = build.gan(schema.from_config(flags.load(flags.CONFIGS / f"{name}.py")))
        for updates, expected in ((0, early), (9_999, early), (10_000, late)):
            wanted = expected if name == "edges_photos" else late
            np.testing.assert_allclose(gan.balance(jnp.int32(updates)), wanted, err_msg=name)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"train__stpes": 3}, ["config.train.stpes", "did you mean train.steps?"]),
        ({"trian": 3}, ["config.trian", "did you mean train?"]),
        ({"optim__lr": 3}, ["config.optim.lr", "did you mean optim.learning_rate?"]),
        ({"train__qqq": 3}, ["config.train.qqq", "--help_settings explains all"]),
        ({"train": 3}, ["config.train must hold fields", "3"]),
        ({"train__steps": "many"}, ["config.train.steps", "int", "'many'"]),
        ({"train__steps": True}, ["config.train.steps", "int", "True"]),
        ({"train__steps": 10.0}, ["config.train.steps", "int", "10.0"]),
        ({"data__flip": 1}, ["config.data.flip", "bool", "1"]),
        ({"data__archives": 1}, ["config.data.archives", "str", "1"]),
        ({"optim__l2": "0"}, ["config.optim.l2", "float", "'0'"]),
        ({"domains": "bags"}, ["config.domains", "2 names"]),
        ({"domains": ("bags", "bags")}, ["config.domains", "different", "'bags'"]),
        ({"model__batch_norm": False}, ["config.model.batch_norm=False", "recipe='best'", "True"]),
        ({"model__recipe": "cook"}, ["config.model.recipe", "book, official", "'cook'"]),
        ({"loss__objective": "gans"}, ["config.loss.objective", "recongan", "'gans'"]),
        ({"train__precision": "float16"}, ["config.train.precision", "bfloat16", "'float16'"]),
        ({"train__steps": 0}, ["config.train.steps", "above 0"]),
        ({"train__log_every": -1}, ["config.train.log_every", "negative", "-1"]),
        ({"data__image_size": 50}, ["config.data.image_size", "50", "nearest: 48 or 56"]),
        ({"data__image_size": "9x"}, ["config.data.image_size", "96x64", "'9x'"]),
        ({"seed": 2**32}, ["config.seed", "2^32"]),
        ({"optim__b2": 1.0}, ["config.optim.b2", "[0, 1)", "1.0"]),
        ({"optim__b2": 1 - 1e-9}, ["config.optim.b2", "[0, 1)"]),  # 1 in float32
        ({"optim__learning_rate": math.nan}, ["config.optim.learning_rate", "finite", "nan"]),
        ({"loss__feature": math.inf}, ["config.loss.feature", "finite", "inf"]),
        ({"loss__feature": 1e39}, ["config.loss.feature", "finite"]),  # inf in float32
        ({"seed": 10**5000}, ["config.seed", "below 2^32", "cannot be shown"]),
        ({"data__image_size": 2**20}, ["config.data.image_size", "nearest: 4096"]),
        ({"data__source_a": "folder:a\0b"}, ["config.data.source_a", "zero"]),
        ({"domains": ("a", "b\n")}, ["config.domains", "2 names"]),
        ({"model__width": 1024}, ["config.model.width", "at most 512"]),
        ({"train__d_updates": 10**6}, ["config.train.d_updates", "at most 100"]),
        ({"train__steps": 2**31}, ["config.train.steps", "at most 2147483647"]),
        (
            {"train__checkpoint_every": 3},
            ["config.train.keep_every", "multiple of train.checkpoint_every (3)", "10000"],
        ),
        ({"train__checkpoint_every": 0}, ["config.train.keep_every", "or 0"]),
        ({"optim__d_learning_rate": 0.0}, ["config.optim.d_learning_rate", "above 0"]),
        ({"optim__decay_steps": 9}, ["config.optim.decay_steps", "set optim.schedule"]),
        (
            {"optim__schedule": "linear", "optim__decay_steps": 10**6},
            ["config.optim.decay_steps", "at most train.steps (100000)", "1000000"],
        ),
        ({"loss__rate": 1.5}, ["loss.rate", "[0, 1]", "1.5"]),
        (
            {"loss__feature_skip": 2, "model__recipe": "official", "data__image_size": 32},
            ["config.loss.feature_skip must be below 2, the feature maps at 32 px"],
        ),
        ({"loss__rate_start": 0.1}, ["config.loss.rate_start", "without loss.rate"]),
        ({"model__bottleneck": 9}, ["config.model.bottleneck", "official"]),
        ({"model__literal": True, "model__leak": 0.1}, ["config.model.literal", "leak=0.0"]),
        (
            {"model__recipe": "official", "model__literal": True, "train__keep": 0},
            ["config.model.literal", "book", "config.train.keep"],  # all at once
        ),
    ],
)
def test_mistakes_are_named(fields, named):
    with pytest.raises(InputError) as raised:
        schema.from_config(changed(**fields))
    for part in named:
        assert part in str(raised.value)


def test_a_checkpoint_to_keep_beyond_the_end_is_no_mistake():
    train = schema.from_config(changed(train__checkpoint_every=3, train__steps=9999)).train
    assert train.keep_every > train.steps


@given(data=st.data())
def test_any_value_of_any_field_is_taken_or_refused_by_name(data):
    """Nothing but `InputError` is raised, one line a problem, and what is taken has its type."""
    name = data.draw(st.sampled_from([*names_in(schema.Settings), *SECTIONS]))
    value = data.draw(HOSTILE)
    made = default.get_config().to_dict()
    *sections, field = name.split(".")
    place = made
    for section in sections:
        place = place[section]
    place[field] = value
    try:
        s = schema.from_config(made)
    except InputError as error:
        lines = str(error).splitlines()
        assert any(name in line for line in lines)
        assert all(line.startswith("config") or "no field config." in line for line in lines)
        assert max(map(len, lines)) < 400
        str(error).encode()  # can be printed
        return
    for part in name.split("."):
        s = getattr(s, part)
    assert not isinstance(s, float) or math.isfinite(s)


@given(value=HOSTILE, key=KEYS)
def test_any_config_is_taken_or_refused(value, key):
    for made in (value, default.get_config().to_dict() | {key: value}):
        with pytest.raises(InputError, match="config"):
            schema.from_config(made)


def test_the_schema_has_the_defaults_of_the_default_config():
    sections = schema.Data(), schema.Model(), schema.Loss(), schema.Optim(), schema.Train()
    settings = schema.Settings(**dict(zip(SECTIONS, sections, strict=True)))
    assert schema.from_config(default.get_config()) == settings
    assert schema.from_config({name: {} for name in SECTIONS}) == settings
    assert schema.from_config(settings) is settings
    assert schema.from_config(schema.to_json(settings)) == settings
    listed = schema.flat(default.get_config().to_dict())
    assert listed.keys() == set(names_in(schema.Settings))


def test_missing_sections_are_named():
    config = default.get_config()
    del config.train
    del config.loss
    with pytest.raises(InputError, match=r"config lacks loss, train"):
        schema.from_config(config)
    with pytest.raises(InputError, match="config must hold fields, not None"):
        schema.from_config(None)


@pytest.mark.parametrize("name", schema.flat(default.get_config().to_dict()))
def test_config_of_an_older_version_lacks_what_was_added_since(name, tmp_path):
    """Whichever field is new, with whatever default: the run can be resumed and compared."""
    settings = schema.from_config(default.get_config())
    old = schema.to_json(settings)
    *sections, field = name.split(".")
    section = old
    for part in sections:
        section = section[part]
    del section[field]
    assert schema.from_config(old) == settings
    write_json(tmp_path / "config.json", old)
    run.check_resumable(tmp_path, settings)
    assert layout.read_settings(tmp_path) == settings
    begun = schema.from_config(changed(seed=7, loss__identity=0.5))
    with pytest.raises(InputError, match="the run of another config"):
        run.check_resumable(tmp_path, begun)


def test_each_player_has_its_own_learning_rate():
    one, other = (
        build.gan(schema.from_config(changed(optim__learning_rate=0.5, optim__d_learning_rate=d)))
        for d in (None, 0.25)
    )
    for gan, rates in ((one, (0.5, 0.5)), (other, (0.5, 0.25))):
        for tx, rate in zip((gan.gen_tx, gan.dis_tx), rates, strict=True):
            update, _ = tx.update(jnp.ones(()), tx.init(jnp.ones(())), jnp.ones(()))
            np.testing.assert_allclose(update, -rate, rtol=1e-5)  # Adam's first is as long as that


def test_networks_updates_and_cuts_are_those_of_the_settings():
    fields = {"model__recipe": "official", "model__bottleneck": 9, "train__precision": "bfloat16"}
    fields |= {"train__d_updates": 3, "train__g_updates": 5, "data__image_size": "16x24"}
    s = schema.from_config(changed(**fields, data__batch_size=1))
    gan = build.gan(s)
    assert gan.generator.bottleneck == 9
    assert gan.generator.dtype == gan.discriminator.dtype == jnp.bfloat16
    assert (gan.d_updates, gan.g_updates, gan.ema_decay) == (3, 5, None)
    larger = np.zeros((2, 20, 26, 3), np.uint8)
    order = build.order(s, dict.fromkeys("ab", Splits(larger, larger)))
    assert (order.updates, order.margin) == (8, (4, 2))


@pytest.mark.parametrize(
    ("schedule", "decay", "factors"),
    [
        ("constant", None, [1, 1, 1, 1]),
        ("linear", None, [1, 0.75, 0.5, 0.25]),
        ("linear", 2, [1, 1, 1, 0.5]),
        ("cosine", None, [1, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5]),
        ("cosine", 2, [1, 1, 1, 0.5]),
    ],
)
def test_learning_rates_fall_to_0_over_the_last_steps(schedule, decay, factors):
    s = schema.from_config(
        changed(
            train__steps=4,
            optim__schedule=schedule,
            optim__decay_steps=decay,
            optim__learning_rate=0.5,
            optim__d_learning_rate=0.25,
        )
    )
    rates = [build.learning_rates(s, step) for step in range(4)]
    np.testing.assert_allclose([r["learning_rate"] for r in rates], np.multiply(factors, 0.5))
    np.testing.assert_allclose([r["d_learning_rate"] for r in rates], np.multiply(factors, 0.25))
    # No schedule, no multiplication by 1.
    assert (build.gan(s).schedule is None) == (schedule == "constant")


def test_names_on_the_command_line_are_checked_alike():
    validate.find(schema.Settings, "train.steps")
    with pytest.raises(InputError, match=r"config\.train\.stpes: did you mean train\.steps\?"):
        validate.find(schema.Settings, "train.stpes")
    with pytest.raises(InputError, match=r"config\.seed is a value"):
        validate.find(schema.Settings, "seed.steps")


def names_in(cls, prefix=""):
    for field in dataclasses.fields(cls):
        section = field.default is dataclasses.MISSING and getattr(
            schema, field.name.capitalize(), 0
        )
        if dataclasses.is_dataclass(section):
            yield from names_in(section, f"{field.name}.")
        else:
            yield prefix + field.name


def test_every_field_is_read_somewhere():
    """A field that nothing reads lies to whoever sets it."""
    aliases = {"t": "train", "weights": "loss", "s": ""}
    read = set()
    for path in PACKAGE.rglob("*.py"):
        if path.name == "schema.py":
            continue  # reads some of them to check them
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                owner = ast.unparse(node.value).split(".")[-1]
                read.add(f"{aliases.get(owner, owner)}.{node.attr}".lstrip("."))
    properties = ("archives", "data_dir", "range")
    read |= {f"data.{name}" for name in properties if name in read}
    names = set(names_in(schema.Settings))
    assert {"seed", "data.feed", "train.steps", "loss.identity"} <= names
    assert names - read == set()


MAY_CHANGE = {
    "data.source_a": "folder:elsewhere",  # the pictures must be the same, see `runs.pictures`
    "data.source_b": "folder:elsewhere",
    "data.archives": "other",
    "data.data_dir": "other",
    "data.feed": "tf",
    "train.steps": 20_000,
    "train.shard_state": True,
    "train.trackers": ("tensorboard", "wandb"),
    "train.log_every": 7,
    "train.print_every": 7,
    "train.sample_every": 7,
    "train.evaluate_every": 7,
    "train.checkpoint_every": 500,
    "train.keep": 7,
    "train.keep_every": 5000,
    "train.keep_best": "kernel_distance",
    "train.patience": 5,
}


ON_REQUEST = {
    "data.jitter": 0.25,
    "data.batch_size": 8,
    "data.flip": True,
    "loss.adversarial": 2.0,
    "loss.feature": 2.0,
    "loss.reconstruction": 2.0,
    "loss.identity": 2.0,
    "loss.discriminator": 2.0,
    "loss.rate_start": 0.25,
    "loss.rate": 0.5,
    "loss.rate_updates": 7,
    "loss.feature_skip": 1,
    "loss.colour": 3.0,
    "model.leak": 0.25,
    "optim.learning_rate": 0.5,
    "optim.d_learning_rate": 0.25,
    "optim.b1": 0.25,
    "optim.b2": 0.5,
    "optim.l2": 1e-3,
    "optim.ema_decay": 0.99,
    "optim.schedule": "cosine",
    "optim.decay_steps": 100,
    "train.d_updates": 2,
    "train.g_updates": 3,
    "train.precision": "bfloat16",
}


def with_fields(fields, **more):
    named = {name.replace(".", "__"): value for name, value in fields.items()}
    return schema.from_config(
        changed(**{"optim__l2": 1e-5, "optim__ema_decay": 0.9} | named | more)
    )


def test_what_changes_on_request_leaves_the_state_as_it_is():
    assert {f.name for f in validate.leaves(schema.Settings) if f.on_request} == {*ON_REQUEST}
    old, new = with_fields({}), with_fields(ON_REQUEST)
    requested, fixed = schema.differences(old, new)
    assert {name: b for name, (_, b) in requested.items()} == ON_REQUEST
    assert fixed == {}
    shapes = [build.state_shapes(s, build.gan(s)) for s in (old, new)]
    assert shapes[0] == shapes[1]


def built(**fields):
    s = schema.from_config(changed(**fields))
    pictures = np.broadcast_to(np.uint8(0), (300, *s.data.image_size, s.data.channels))
    loaded = dict.fromkeys("ab", Splits(train=pictures, val=pictures))
    return build.gan(s), build.order(s, loaded), build.image_shape(s)


def test_every_field_of_the_training_reaches_what_is_built():
    others = {"data.image_size": 32, "data.channels": 1, "loss.objective": "gan"}
    others |= {"model.recipe": "official", "model.width": 16, "model.literal": True}
    fields = ON_REQUEST | others
    del fields["data.jitter"]  # makes larger images
    # Some have no effect without another one.
    plain = {"optim__schedule": "linear", "loss__rate": 0.75, "optim__l2": 1e-5}
    for name, value in fields.items():
        assert built(**plain | {name.replace(".", "__"): value}) != built(**plain), name
    wide, narrow = ({"model__recipe": "official", "model__bottleneck": n} for n in (9, 0))
    assert built(**wide) != built(**narrow)
    # Each in its place.
    gan = build.gan(with_fields(ON_REQUEST))
    assert gan.gen_tx == Adam(0.5, b1=0.25, b2=0.5, l2=1e-3)
    assert gan.dis_tx == Adam(0.25, b1=0.25, b2=0.5, l2=1e-3)
    assert (gan.ema_decay, gan.d_updates, gan.g_updates) == (0.99, 2, 3)
    gan, order, _ = built(model__literal=True, data__flip=True)
    literal = (gan.generator.upsample, gan.generator.output, gan.discriminator.output)
    assert literal == ("reshape", "relu", "probability")
    assert order.flip


def test_what_adds_arrays_to_the_state_never_changes():
    for field in ("optim.l2", "optim.ema_decay"):
        one, other = with_fields({}), with_fields({field: 0.0})
        for old, new in ((one, other), (other, one)):
            assert [*map(len, schema.differences(old, new))] == [0, 1]


def test_the_length_is_a_part_of_a_schedule():
    def found(old, new):
        return schema.differences(
            with_fields({"optim.schedule": old}),
            with_fields({"optim.schedule": new, "train.steps": 5}),
        )[0].get("train.steps")

    assert found("constant", "constant") is None
    for old, new in (("linear", "linear"), ("constant", "cosine"), ("cosine", "constant")):
        assert found(old, new) == (100_000, 5)


def test_differences_ignore_what_may_change():
    assert {f.name for f in validate.leaves(schema.Settings) if f.may_change} == {*MAY_CHANGE}
    old = schema.from_config(default.get_config())
    free = {name.replace(".", "__"): value for name, value in MAY_CHANGE.items()}
    assert schema.differences(old, schema.from_config(changed(**free))) == ({}, {})
    new = changed(data__batch_size=8, loss__rate=0.5, seed=1, train__steps=5, domains=("a", "b"))
    requested, fixed = schema.differences(old, schema.from_config(new))
    assert requested == {"data.batch_size": (256, 8), "loss.rate": (None, 0.5)}
    assert fixed == {"domains": (["bags", "shoes"], ["a", "b"]), "seed": (0, 1)}
    nested = {"a": {"b": 1, "c": {"d": (1, 2)}}}
    assert schema.flat(nested) == {"a.b": 1, "a.c.d": (1, 2)}


def test_every_n_steps():
    assert [step for step in range(10) if recorder.every_n_steps(step, 4)] == [0, 4, 8]
    assert not any(recorder.every_n_steps(step, 0) for step in range(10))


def test_a_flag_changes_a_config_that_holds_whole_numbers(tmp_path):
    """A file's own config types its fields by their values, so 1 would take no 0.5."""
    file = tmp_path / "own.py"
    file.write_text(
        "from ml_collections import ConfigDict\n"
        "def get_config():\n"
        "    return ConfigDict({'data': {'image_size': 32}, 'loss': {'identity': 1}})\n"
    )
    typed = ["--config.loss.identity=0.5", "--config.data.image_size=16"]
    config = flags.load(file, typed)
    assert (config.loss.identity, str(config.data.image_size)) == (0.5, "16")
