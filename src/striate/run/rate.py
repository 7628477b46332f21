"""The rate finder: a range test on the data, network and recipe of a run that is still to come."""

import torch

from striate.base import device as devices
from striate.base.progress import Progress
from striate.base.seeds import seed_for
from striate.data.sample import Dataset
from striate.engine.precision import choose_precision
from striate.engine.rate import RateTest, range_test
from striate.transfer.stages import stages

from .network import Model, model_of, start_network
from .outputs import require_outputs
from .prepare import prepare
from .recipe import Recipe
from .training import make_update


def find_rate(
    dataset: Dataset,
    model: Model,
    recipe: Recipe,
    *,
    low: float = 1e-6,
    high: float = 10.0,
    num_steps: int = 100,
    seed: int = 0,
    target: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> RateTest:
    """Return the range test of the network as a run would start it, with the recipe's data, augmentation and optimiser.

    Nothing is written, and the global random state is given back.

    Raises:
        UserError: as for `train`; SettingsError when the loss fell at no rate.
    """
    progress = progress or Progress()
    prepared = prepare(dataset, recipe, target=target, device=devices.pick(device), progress=progress, model=model)
    network = start_network(model_of(model, prepared), prepared, seed, progress)
    require_outputs(network, prepared, seed)
    network = devices.place(network, prepared.device)
    loader = prepared.loader("train", seed=seed, is_training=True)
    images = next(iter(loader.batches(0))).images
    precision = choose_precision(network, images, recipe.train.precision)["name"]
    cuda = [prepared.device] if prepared.device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), progress.bar("rates", num_steps, "step") as bar:
        torch.manual_seed(seed_for(seed, "dropout"))
        stage = stages(recipe.train, prepared.num_epochs)[0]
        update = make_update(prepared, network, precision, stage, steps_per_epoch=num_steps)
        return range_test(update, loader, low=low, high=high, num_steps=num_steps, advance=bar.advance)
