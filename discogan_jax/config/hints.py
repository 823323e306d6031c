"""Suggests which field or flag was meant by an unknown one, which may be another tool's word."""

import re
from collections.abc import Collection, Mapping
from difflib import SequenceMatcher

WORDS: Mapping[str, str] = {
    "optim.learning_rate": "lr g_lr lr_g gen_lr",
    "optim.d_learning_rate": "d_lr lr_d dis_lr disc_lr",
    "optim.b1": "beta1 adam_beta1 momentum",
    "optim.b2": "beta2 adam_beta2",
    "optim.l2": "weight_decay wd",
    "optim.schedule": "lr_policy scheduler lr_scheduler lr_decay",
    "optim.decay_steps": "niter_decay n_epochs_decay lr_decay_iters",
    "optim.ema_decay": "ema ema_beta moving_average",
    "train.steps": "iters iterations max_iter num_iters total_iters max_steps total_steps",
    "training is counted in steps, train.steps; --dry_run says how many batches an epoch has": (
        "epoch epochs n_epochs num_epochs max_epochs epoch_size nepoch niter epoch_count "
        "steps_per_epoch"
    ),
    "train.d_updates and train.g_updates are the updates of either player in a step": (
        "n_critic critic_iters disc_steps dis_iters update_interval"
    ),
    "data.batch_size": "batch bs train_batch_size per_device_batch_size",
    "data.image_size": "crop_size fine_size img_size im_size image_height img_height resolution",
    "data.image_size is the size; data.jitter keeps pictures larger, to be cut at random places": (
        "load_size scale_size resize augment"
    ),
    "data.fit": "preprocess resize_mode resize_or_crop",
    "data.channels": "input_nc output_nc in_channels out_channels num_channels nc grayscale gray",
    "data.flip": "no_flip hflip horizontal_flip random_flip mirror",
    "two folders of pictures are given by --a and --b, other sources by data.source_a and "
    "data.source_b": "dataroot data_path dataset dataset_name dataset_path train_dir train_path "
    "image_dir task_name",
    "pictures are decoded once and kept: no process reads them while training; see data.feed": (
        "num_workers workers num_threads n_threads"
    ),
    "loss.reconstruction": "lambda_a lambda_b lambda_cyc lambda_cycle cycle_weight recon_weight",
    "loss.identity": "lambda_identity lambda_idt lambda_id identity_weight",
    "loss.adversarial": "lambda_gan lambda_adv gan_weight",
    "loss.feature": "lambda_feat lambda_fm feature_matching",
    "loss.rate": "default_rate",
    "loss.rate_start": "starting_rate",
    "loss.rate_updates": "gan_curriculum",
    "loss.objective": "model_arch",
    "the adversarial loss is that of the original GAN; loss.objective has the terms beside it": (
        "gan_mode gan_loss gan_type adv_loss"
    ),
    "each update uses the translations of its own batch: there is no pool of earlier ones": (
        "pool_size image_pool"
    ),
    "model.recipe": "netg netd arch model net architecture which_model_netg which_model_netd",
    "model.width": "ngf ndf nf base_channels num_filters n_filters",
    "train.precision": "fp16 bf16 amp mixed_precision dtype half",
    "train.print_every": "print_freq print_interval",
    "train.log_every": "log_freq log_interval log_steps",
    "train.sample_every": "display_freq sample_freq sample_interval image_save_interval vis_freq",
    "the page of a run shows its samples; train.sample_every is their period": (
        "display_id display_port display_server display_winsize no_html update_html_freq visdom"
    ),
    "train.evaluate_every": "eval_freq eval_interval eval_steps val_interval test_freq",
    "train.checkpoint_every": "save_epoch_freq save_latest_freq save_freq save_interval save_every "
    "save_steps model_save_interval checkpoint_freq checkpoint_interval",
    "a run is kept in the folder --workdir": "name checkpoints_dir checkpoint_dir out out_dir "
    "output output_dir save_dir save_path log_dir results_dir result_path model_path exp_name "
    "run_name",
    "the same command, with the same --workdir, resumes a run": "continue_train continue resume "
    "load_model checkpoint ckpt start_epoch",
    "--init_from=RUN starts a new run with trained weights": "pretrained pretrained_model "
    "resume_from finetune init_weights",
    "train.keep_best": "save_best monitor",
    "train.patience": "early_stopping",
    "JAX uses all devices that it finds; the environment's CUDA_VISIBLE_DEVICES=0 or "
    "JAX_PLATFORMS=cpu limits it": "gpu gpus gpu_ids gpu_id device devices cuda no_cuda use_cuda "
    "num_gpus n_gpu",
    "seed": "manual_seed random_seed",
}
"""The words of other tools (pix2pix and CycleGAN, the authors' script, PyTorch, Keras), by what
answers them: a field, or a sentence that names fields and flags."""

_NAMED = re.compile(r"--\w+|\b[a-z]+\.\w+\b(?!/)")
_SIMILAR = 0.6  # ratio of `SequenceMatcher` from which a name is suggested


def hint(name: str, fields: Collection[str], flags: Collection[str] | None = None) -> str:
    """Returns the end of a message about an unknown name: what was meant, or "".

    Args:
      name: the dotted name of a field, or a flag.
      fields: dotted names of the fields and sections that there are.
      flags: the flags that there are, with their dashes; None if the name is that of a field.
    """
    shown = {field: field if flags is None else f"--config.{field}" for field in fields}
    shown |= {flag: flag for flag in flags or ()}
    # Another tool's word; its answer must hold for this command.
    typed = _plain(name)
    for answer, words in WORDS.items():
        named = _NAMED.findall(answer) or ([] if " " in answer else [answer])
        holds = all(n in shown or (flags is None and n.startswith("--")) for n in named)
        if holds and typed in map(_plain, words.split()):
            text = _NAMED.sub(lambda found: shown.get(found[0], found[0]), answer)
            return text if " " in answer else f"did you mean {shown[answer]}?"
    # The most similar name, of whatever section.
    similar = {known: SequenceMatcher(None, typed, _plain(known)).ratio() for known in shown}
    nearest = max(similar, key=similar.__getitem__, default="")
    return f"did you mean {shown[nearest]}?" if similar.get(nearest, 0) >= _SIMILAR else ""


def _plain(name: str) -> str:
    """Removes the sections of a name and how its words are joined: ``data.batchSize``."""
    return name.rpartition(".")[2].lower().replace("-", "").replace("_", "")
