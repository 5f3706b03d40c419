"""Scale control: the fine structures of one style on the coarse ones of another (Gatys et al. 2017, section 6)."""

from collections import deque
from dataclasses import replace

from torch import Tensor

from nst_lab.config.profiles import layer_weights
from nst_lab.config.schema import Config
from nst_lab.config.statistics import STATISTICS
from nst_lab.errors import ConfigError
from nst_lab.images.pictures import resize, size_of
from nst_lab.losses.objective import Objective, digest
from nst_lab.memory import Memory
from nst_lab.network.vgg import VGG19
from nst_lab.optimisation.optimize import Optimisation
from nst_lab.optimisation.scales import fine_size, in_strips

FINE = "fine"  # how the only style of the mixing is called


def mix_scales(coarse: Tensor, fine: Tensor, config: Config, network: VGG19, memory: Memory | None = None) -> Tensor:
    """A style image with the coarse structures of one picture and the fine ones of another, (1, 3, H, W) in [0, 1].

    From the coarse picture, `style.fine_evaluations` of the run's optimiser lower Σ_l w_l E_l of `style.fine_layers`
    against the fine picture, w_l by `layers.style_profile` and E_l by the run's statistic, Gram matrices by default.
    What only deeper layers see has no reason to change. The same pictures give the same mixture.

    Raises:
        ConfigError: the losses of the mixing cease to be finite.

    Args:
        coarse: the style image at the size (height, width) of the mixture.
        fine: the other at any size; brought to the coarse picture's longer side.
        config: a filled configuration.
        network: one that has the fine layers; nothing deeper of it is computed.
        memory: remembers the mixture for other runs of that network.
    """
    own = _mixing(config)
    fine = resize(fine, *fine_size(size_of(fine), size_of(coarse)), resampling=config.resampling)

    def mix() -> Tensor:
        device = next(network.buffers()).device
        strips = in_strips(config, size_of(coarse))
        objective = Objective(network.up_to(own.layers.style), None, {FINE: fine.to(device)}, own, in_strips=strips)
        optimisation = Optimisation(objective, coarse.to(device), own.optimizer, own.optimizer.evaluations)
        [last] = deque(optimisation, maxlen=1)
        if last.stop and last.stop.reason == "not_finite":
            raise ConfigError(f"style.fine: {last.stop.detail} of the mixing; choose other layers or another optimizer")
        return optimisation.picture.clamp(0, 1).cpu()

    seed = own.seed if STATISTICS[own.loss.statistic].random else None
    key = "mixture", repr((own.loss, own.layers, own.optimizer, seed)), digest(coarse), digest(fine)
    return (memory or Memory(0)).recall(key, mix)


def _mixing(config: Config) -> Config:
    """The configuration of the mixing: the fine style on its layers, and no other term.

    It has a weight even where the style has none in the run, which then takes its start or its shape from the mixture.
    """
    names = config.style.fine_layers
    weights = layer_weights("style", config.layers.style_profile, names)
    assert weights is not None  # profile and layers are known ones
    return replace(
        config,
        loss=replace(config.loss, content_weight=0.0, style_weight=config.loss.style_weight or 1.0, tv_weight=0.0),
        layers=replace(config.layers, style=names, style_weights=weights),
        style=replace(
            config.style, images=[FINE], weights=[1.0], blend="weighted", layers=None, layer_weights=None, masks=None,
            guides=None, fine=None,
        ),
        optimizer=replace(config.optimizer, evaluations=config.style.fine_evaluations),
    )  # fmt: skip
