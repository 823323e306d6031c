"""Sets up all tests: strict shapes, strict dtypes, one CPU, few log messages."""

import logging
import os
import shutil

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Tests compile much and compute little: without LLVM's optimizations they take a fifth of the time.
# Child processes inherit this, so that programs are the same whichever process compiled them.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax
import optax
import pytest
from flax.linen import normalization
from hypothesis import settings
from jaxtyping import install_import_hook

# Shapes and types of arguments and results are checked in the array modules, except `state`: JAX
# fills its classes with shapes, shardings and other placeholders for arrays.
_ROOMS = [
    "ops",
    "models",
    "losses",
    "steps",
    "sharding",
    "interop",
    "images",
    "evaluation",
    "data",
]
_hook = install_import_hook([f"discogan_jax.{room}" for room in _ROOMS], "beartype.beartype")

# No implicit promotion of dtypes or ranks.
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def _widening(function):
    def allowed(*args, **kw):
        with jax.numpy_dtype_promotion("standard"):
            return function(*args, **kw)

    return allowed


# Third-party code: Adam raises its decays to an integer power, a schedule divides one, and batch
# norm in bfloat16 promotes to the float32 of its statistics.
_schedule = optax.cosine_decay_schedule
optax.cosine_decay_schedule = lambda *args: _widening(_schedule(*args))
optax.tree.bias_correction = _widening(optax.tree.bias_correction)
for _name in ("_compute_stats", "_normalize"):
    setattr(normalization, _name, _widening(getattr(normalization, _name)))

# The same examples in every run and none stored on disk, so that failures are reproducible.
settings.register_profile("suite", derandomize=True, database=None, deadline=None)
settings.load_profile("suite")


@pytest.fixture
def no_nan():
    """Raises an error wherever a compiled function returns a NaN."""
    with jax.debug_nans(True):
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Writes images of two domains as arrays."""
    import runs_here  # imports modules that the hook above must see first

    return runs_here.write_arrays(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Creates a cache of compiled programs, so that a module's processes compile nothing twice."""
    return tmp_path_factory.mktemp("xla")


BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser():
    """Opens a browser, where there is one."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright steers the browser")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        assert not os.environ.get("CI"), "no Chromium here; .ci/run installs it"
        pytest.skip("no Chromium here (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        # Without a sandbox: containers have none to give, and the page is ours.
        opened = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(autouse=True)
def _as_loud_as_before():
    """Restores the log level, which commands raise for the rest of their process."""
    logger = logging.getLogger("absl")
    level = logger.level
    yield
    logger.setLevel(level)
