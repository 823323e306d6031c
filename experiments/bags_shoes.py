"""Handbags ↔ shoes, the main job.

    python -m experiments.bags_shoes --config=configs/default.py --config.data.archives=DIR

`DIR` holds `edges2handbags.tar.gz` and `edges2shoes.tar.gz`; without it they are downloaded (8 GB
and 2 GB). The run directory is `runs/default`; `samples/` there shows held-out bags as shoes and
back, from step 0 on. The same command resumes.
"""

from discogan_jax.train import launch

if __name__ == "__main__":
    launch.run("default.py")
