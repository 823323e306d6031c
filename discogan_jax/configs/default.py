"""bags ↔ shoes, the book's recipe at full size: 64 px, batch 256, 100,000 steps.

    python -m experiments.bags_shoes --config=configs/default.py --config.data.archives=DIR

Meant for a GPU; not yet run at full length. At a size that is feasible on two CPU cores (32 px,
batch 32, 1,000 steps) it is clearly worse than `official` on real bags ↔ shoes, and collapses on
edges ↔ photos: docs/results.md. It is the default because this library started from the book;
for good results use `configs/best.py` or `configs/official.py`.
"""

from ml_collections import ConfigDict, config_dict


def get_config() -> ConfigDict:
    """Makes a config with every field; the other configs start from it and change some."""
    config = ConfigDict()
    config.seed = 0
    config.domains = ("bags", "shoes")

    config.data = ConfigDict()
    config.data.source_a = "archive:edges2handbags/photo"
    config.data.source_b = "archive:edges2shoes/photo"
    config.data.archives = config_dict.placeholder(str)  # a folder; None: download
    config.data.data_dir = "data"
    config.data.image_size = 64
    config.data.batch_size = 256
    config.data.flip = False
    config.data.feed = "auto"

    config.model = ConfigDict()
    config.model.recipe = "book"
    config.model.width = 32
    config.model.bottleneck = 0
    config.model.literal = False

    config.loss = ConfigDict()
    config.loss.objective = "discogan"
    config.loss.adversarial = 1.0
    config.loss.feature = 0.0
    config.loss.reconstruction = 1.0
    config.loss.identity = 0.0
    config.loss.discriminator = 1.0
    config.loss.rate_start = config_dict.placeholder(float)  # None: all terms are added
    config.loss.rate = config_dict.placeholder(float)
    config.loss.rate_updates = 0

    config.optim = ConfigDict()
    config.optim.learning_rate = 2e-4
    config.optim.d_learning_rate = config_dict.placeholder(float)  # None: that of the generators
    config.optim.b1 = 0.9
    config.optim.b2 = 0.999
    config.optim.l2 = 0.0
    config.optim.ema_decay = 0.0

    config.train = ConfigDict()
    config.train.steps = 100_000
    config.train.d_updates = 1
    config.train.g_updates = 2
    config.train.precision = "float32"
    config.train.shard_state = False
    config.train.log_every = 10
    config.train.print_every = 100
    config.train.sample_every = 1000
    config.train.evaluate_every = 10_000
    config.train.checkpoint_every = 1000
    config.train.keep = 3
    config.train.keep_every = 10_000
    return config
