# Runs `discogan` in a container, as a user without rights.
#
#   docker build -t discogan .                                            # for CPUs
#   docker build -t discogan --build-arg EXTRAS=onnx,serve,cuda12 .       # for NVIDIA GPUs
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" discogan train --a=cats --b=dogs
#
# What is trained and written is in the folder at /work. GPUs need `--gpus all`, the web page
# `-p 7860:7860` and `serve RUN --host 0.0.0.0`.
ARG PYTHON=3.13
FROM python:${PYTHON}-slim

# The extras of pyproject.toml.
ARG EXTRAS=onnx,serve
WORKDIR /opt/discogan
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY discogan_jax discogan_jax
RUN python -m pip install --no-cache-dir --constraint constraints.txt ".[$EXTRAS]"

# Any user of `docker run --user` may write here; caches do not outlive the container.
ENV HOME=/tmp
WORKDIR /work
USER 1000:1000
ENTRYPOINT ["discogan"]
CMD ["--help"]
