"""The objective: image -> named terms -> total. Targets are computed once, terms of weight zero are not built."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nst_lab.config.schema import Config, layers_by_style, mixes_scales
from nst_lab.config.statistics import STATISTICS
from nst_lab.images.catalog import short_names
from nst_lab.losses.guidance import Guides, Masks, content_guides, style_guides
from nst_lab.losses.style import Measured, as_sum, statistic
from nst_lab.losses.terms import revival, squared_error, total_variation
from nst_lab.memory import Memory
from nst_lab.network.vgg import VGG19

WEIGHTS = ("content_weight", "style_weight", "tv_weight")  # of the loss; targets do not depend on them


@dataclass(frozen=True)
class Seen:
    """What counts of a picture: activations by layer, and what was measured, by region and layer."""

    activations: dict[str, Tensor]
    measured: dict["Place", Measured]


Place = tuple[str, str]  # a region (the style whose it is, or the whole picture) and a layer
WHOLE = ""


@dataclass(frozen=True)
class Losses:
    """One evaluation. `content`, `style` and `tv` are weighted and add up to `total`; `terms` are raw, by name."""

    total: Tensor
    content: Tensor
    style: Tensor
    tv: Tensor
    terms: dict[str, Tensor]

    def values(self) -> tuple[Tensor, ...]:
        """All of them, those of the terms first."""
        return (*self.terms.values(), self.total, self.content, self.style, self.tv)

    def with_values(self, values: Sequence[Tensor]) -> "Losses":
        """The same by these `values`."""
        *terms, total, content, style, tv = values
        return Losses(total, content, style, tv, dict(zip(self.terms, terms, strict=True)))

    def to_floats(self) -> dict[str, Any]:
        """The same as Python numbers, the terms under `terms`."""
        terms = {name: value.item() for name, value in self.terms.items()}
        return {name: getattr(self, name).item() for name in ("total", "content", "style", "tv")} | {"terms": terms}


def active_layers(names: Sequence[str], weights: Sequence[float], factor: float) -> dict[str, float]:
    """Layer -> weight, without the layers that cannot contribute."""
    return {name: weight for name, weight in zip(names, weights, strict=True) if factor > 0 and weight > 0}


def layers_of_styles(config: Config) -> list[dict[str, float]]:
    """For each style image its layers and their weights, without those that cannot contribute."""
    return [active_layers(names, weights, config.loss.style_weight) for names, weights in layers_by_style(config)]


def pre_activations(config: Config) -> dict[str, str]:
    """Of each content layer that is a ReLU the convolution before it, where `optimizer.revive` asks for it."""
    if config.optimizer.name != "lbfgs" or not config.optimizer.revive:
        return {}
    layers = active_layers(config.layers.content, config.layers.content_weights, config.loss.content_weight)
    return {layer: layer.replace("relu", "conv") for layer in layers if layer.startswith("relu")}


def content_taps(config: Config) -> list[str]:
    """The layers whose activations count one by one."""
    layers = config.layers
    contents = active_layers(layers.content, layers.content_weights, config.loss.content_weight)
    return list(dict.fromkeys([*contents, *pre_activations(config).values()]))


def needed_taps(config: Config) -> list[str]:
    """The layers that a filled configuration reads; the network may be cut after the deepest."""
    style = config.style
    taps = dict.fromkeys(content_taps(config))
    for own, weight in zip(layers_of_styles(config), style.weights, strict=True):
        taps |= own if weight > 0 else {}
    if mixes_scales(config):
        taps |= dict.fromkeys(style.fine_layers)
    return list(taps)


def style_shares(weights: Sequence[float], blend: str) -> list[float]:
    """The factor of each style: normalised to sum 1 for `weighted` and `targets`, as given for the seed's two."""
    total = sum(weights)
    return [weight / total for weight in weights] if blend in ("weighted", "targets") else list(weights)


def _averaged(values: Tensor, reduction: str) -> int:
    """Over how many values a reduction averages."""
    return values.numel() if reduction == "mean" else 1


def digest(picture: Tensor) -> bytes:
    """What identifies a picture: the hash of its pixels."""
    pixels = picture.detach().cpu().contiguous().numpy()
    return hashlib.sha256(repr((pixels.shape, pixels.dtype)).encode() + pixels.tobytes()).digest()


class Objective(nn.Module):
    """L(x) = α Σ_l u_l C_l(x) + β S(x) + γ TV(x) with S blended from S_s(x) = Σ_l w_l E_{l,s}(x).

    C_l is the content term (`terms.py`) and E_{l,s} the style term of layer l and style s (`style.py`), both times the
    convention's factor; TV is measured on x times `tv_range`, times its factor. With v_s the style's weight, S by
    `style.blend`:

    - `weighted`: Σ_s v_s S_s / Σ v, the usual convex blend;
    - `targets`: one style whose Gram matrices, or means and second moments, are Σ_s v_s G_s / Σ v (the same gradient as
      `weighted` for squared errors of Gram matrices, where the values differ by a constant; another for `w2`);
    - `sum`: Σ_s v_s S_s, as Multiple-style-transfer's w1;
    - `loss_share`: Σ_s (v_s S_s)² / Σ_s v_s S_s, its w2: each style times its own, undetached share of the sum.

    Every style may have its own layers and weights w_l. With masks, S_s compares its region of x with its part of the
    style image (`guidance.py`), and C_l counts position by position times the content's mask.

    Args:
        network: image -> activations by tap.
        content: picture (1, 3, H, W) whose representation is the target; may be None if the content weight is 0.
        styles: pictures by name, any sizes; those of weight zero may be missing.
        config: a filled configuration.
        memory: remembers the targets of this network for other objectives.
        masks: of the sizes of the pictures; those of styles of weight zero may be missing.
        in_strips: evaluate the first blocks strip by strip (`network/strips.py`), for large pictures.

    Raises:
        ConfigError: a region vanishes at a layer.
    """

    def __init__(
        self,
        network: VGG19,
        content: Tensor | None,
        styles: dict[str, Tensor],
        config: Config,
        memory: Memory | None = None,
        masks: Masks | None = None,
        in_strips: bool = False,
    ):
        super().__init__()
        layers, self.loss = config.layers, config.loss
        self.network = network
        self.memory = memory or Memory(0)
        self.in_strips = in_strips
        self.blend = config.style.blend
        self.content_layers = active_layers(layers.content, layers.content_weights, self.loss.content_weight)
        self.pre_activations = pre_activations(config)
        self.whole_layers = content_taps(config)
        shares = style_shares(config.style.weights, self.blend) if self.loss.style_weight > 0 else []
        named = zip(short_names(config.style.images), shares, layers_of_styles(config), strict=False)
        used = [(name, share, own) for name, share, own in named if share > 0]
        self.style_shares = {name: share for name, share, _ in used}
        self.style_layers = {name: own for name, _, own in used}
        self.statistics = {layer: statistic(config, layer) for own in self.style_layers.values() for layer in own}
        draws = {"seed": config.seed} if STATISTICS[self.loss.statistic].random else {}
        # All that measurements of one picture depend on.
        self.form = repr({key: value for key, value in vars(self.loss).items() if key not in WEIGHTS} | draws)
        masks = masks or Masks()
        self.guides, self.style_guides = style_guides(masks, self.style_layers, config)
        self.content_guides = content_guides(masks, self.content_layers)
        with torch.no_grad():
            self.content_targets = self._guided(self._content_targets(content))
            self.style_targets = self._style_targets(styles, config.style.guidance)
        self.regions = {name: name if self.guides.get(name) else WHOLE for name in self.style_shares}
        self.measurements = {
            (self.regions[name], layer): self.guides.get(name, {}).get(layer)
            for name, layers in self.style_layers.items()
            for layer in layers
        }

    def _content_targets(self, content: Tensor | None) -> dict[str, Tensor]:
        if content is None or not self.content_layers:
            return {}

        def represent() -> dict[str, Tensor]:
            activations = self._see(content, self.content_layers, {}).activations
            return {layer: activations[layer] for layer in self.content_layers}

        return self.memory.recall(("content", tuple(self.content_layers), digest(content)), represent)

    def represent(self, picture: Tensor) -> tuple[dict[str, Tensor], dict[Place, Measured]]:
        """The content representation of a picture (1, 3, H, W), by layer, and what is measured for its style."""
        seen = self._see_result(picture)
        activations = self._guided(seen.activations)
        return {layer: activations[layer] for layer in self.content_layers}, seen.measured

    def content_weights(self) -> dict[str, float]:
        """What the squared error of one value of each content layer weighs in the total."""
        factor = self.loss.content_weight * self.loss.content_factor
        return {
            layer: factor * weight / _averaged(self.content_targets[layer], self.loss.content_reduction)
            for layer, weight in self.content_layers.items()
        }

    def gram_weights(self) -> dict[Place, float]:
        """What the squared error of one value of each Gram matrix weighs in the total, but for `blend: loss_share`."""
        weights: dict[Place, float] = defaultdict(float)
        for name, share in self.style_shares.items():
            for layer, weight in self.style_layers[name].items():
                (target,) = self.style_targets[name][layer]
                scale = target.square().mean().item() if self.loss.style_scale == "target" else 1.0
                own = self.loss.style_weight * self.loss.style_factor * share * weight
                weights[self.regions[name], layer] += (
                    own / _averaged(target, self.loss.style_reduction) / (scale or 1.0)
                )
        return dict(weights)

    def _guided(self, activations: dict[str, Tensor]) -> dict[str, Tensor]:
        """Activations of the content layers, each times what its mask makes of it."""
        if not self.content_guides:
            return activations
        return {layer: activations[layer] * self.content_guides[layer] for layer in self.content_layers}

    def _style_targets(self, styles: dict[str, Tensor], guidance: str) -> dict[str, dict[str, Measured]]:
        keys, measured = {}, {}
        for name, layers in self.style_layers.items():
            guides = self.style_guides.get(name, {})
            part = guidance, *map(digest, guides.values())
            keys[name] = self.form, tuple(layers), part if guides else None, digest(styles[name])
            measured[name] = self.memory.recall(
                ("measured", *keys[name]), partial(self._measure, styles[name], layers, guides)
            )
        if self.blend == "targets" and len(measured) > 1:
            layers = next(iter(self.style_layers.values()))
            blended = {layer: self._blend(measured, layer) for layer in layers}
            self.style_shares, self.style_layers = {"blended": 1.0}, {"blended": layers}
            return {"blended": self._targets(blended)}
        return {
            name: self.memory.recall(("target", *keys[name]), partial(self._targets, layers))
            for name, layers in measured.items()
        }

    def _targets(self, measured: dict[str, Measured]) -> dict[str, Measured]:
        return {layer: self.statistics[layer].target(value) for layer, value in measured.items()}

    def _measure(self, style: Tensor, layers: Iterable[str], guides: Guides) -> dict[str, Measured]:
        seen = self._see(style, (), {(WHOLE, layer): guides.get(layer) for layer in layers})
        return {layer: measured for (_, layer), measured in seen.measured.items()}

    def _blend(self, measured: dict[str, dict[str, Measured]], layer: str) -> Measured:
        parts = zip(*(measured[name][layer] for name in self.style_shares), strict=True)
        shares = self.style_shares.values()
        return tuple(sum(share * value for share, value in zip(shares, part, strict=True)) for part in parts)

    def forward(self, image: Tensor, seen: Seen | None = None) -> Losses:
        """Evaluate at `image` (1, 3, H, W), RGB in [0, 1]; `seen` is what `see_together` has seen of it already."""
        return self._losses(seen or self._see_result(image), image)

    def reviving(self, image: Tensor, seen: Seen | None = None) -> tuple[Losses, Tensor]:
        """The same, and what is to be added to the total for units that are off to come on (`terms.revival`)."""
        seen = seen or self._see_result(image)
        return self._losses(seen, image), self._revival(seen.activations, image)

    def _see_result(self, image: Tensor) -> Seen:
        return self._see(image, self.whole_layers, self.measurements)

    def _see(self, picture: Tensor, layers: Collection[str], places: Mapping[Place, Tensor | None]) -> Seen:
        """Activations of `layers`, and measurements at `places`, each with its guide or without one."""
        if not (layers or places):
            return Seen({}, {})
        if not self.in_strips:
            return self._measure_at(places, self.network(picture))
        if STATISTICS[self.loss.statistic].blendable:
            return self._see_sums(picture, layers, places)
        # What this statistic measures is no sum over the positions.
        activations, _ = self.network.in_strips(picture, {*layers, *(layer for _, layer in places)}, [])
        return self._measure_at(places, activations)

    def _measure_at(self, places: Mapping[Place, Tensor | None], activations: dict[str, Tensor]) -> Seen:
        measured = {
            (region, layer): self.statistics[layer].measure(activations[layer], guide)
            for (region, layer), guide in places.items()
        }
        return Seen(activations, measured)

    def _see_sums(self, picture: Tensor, layers: Collection[str], places: Mapping[Place, Tensor | None]) -> Seen:
        sums = [as_sum(self.statistics[layer], layer, guide) for (_, layer), guide in places.items()]
        activations, measured = self.network.in_strips(picture, layers, sums)
        return Seen(activations, dict(zip(places, measured, strict=True)))

    def _losses(self, seen: Seen, image: Tensor) -> Losses:
        terms: dict[str, Tensor] = {}
        content = self._content(seen.activations, terms, image)
        style = self._style(seen.measured, terms, image)
        tv = self._total_variation(terms, image)
        return Losses(content + style + tv, content, style, tv, terms)

    def _total_variation(self, terms: dict[str, Tensor], image: Tensor) -> Tensor:
        loss = self.loss
        if not loss.tv_weight > 0:
            return image.new_zeros(())
        value = total_variation(image * loss.tv_range, loss.tv_form, loss.tv_reduction, loss.tv_exponent)
        terms["tv"] = loss.tv_factor * value
        weighted = loss.tv_weight * terms["tv"]
        # Of the Lua original's TV only the gradient counts: its loss, and so the total, leaves the value out.
        return weighted - weighted.detach() if loss.tv_form == "squared_gradient" else weighted

    def _content(self, activations: dict[str, Tensor], terms: dict[str, Tensor], image: Tensor) -> Tensor:
        total = image.new_zeros(())
        activations = self._guided(activations)
        for layer, weight in self.content_layers.items():
            error = squared_error(activations[layer], self.content_targets[layer], self.loss.content_reduction)
            terms[f"content/{layer}"] = self.loss.content_factor * error
            total = total + weight * terms[f"content/{layer}"]
        return self.loss.content_weight * total

    def _revival(self, activations: dict[str, Tensor], image: Tensor) -> Tensor:
        total = image.new_zeros(())
        for layer, before in self.pre_activations.items():
            target = self.content_targets[layer] * self.content_guides.get(layer, 1)
            value = revival(activations[before], target, self.loss.content_reduction)
            total = total + self.content_layers[layer] * value
        return self.loss.content_weight * self.loss.content_factor * total

    def _style(self, measured: dict[Place, Measured], terms: dict[str, Tensor], image: Tensor) -> Tensor:
        if not self.style_shares:
            return image.new_zeros(())
        per_style = []
        for name, share in self.style_shares.items():
            total = image.new_zeros(())
            for layer, weight in self.style_layers[name].items():
                own, target = measured[self.regions[name], layer], self.style_targets[name][layer]
                error = self.statistics[layer].distance(own, target).to(image)
                terms[f"style/{name}/{layer}"] = self.loss.style_factor * error
                total = total + weight * terms[f"style/{name}/{layer}"]
            per_style.append(share * total)
        losses = torch.stack(per_style)
        if self.blend == "loss_share":
            # Where every style is matched exactly the shares are 0/0; loss and gradient have the limit 0.
            total = losses.sum()
            blended = (losses * (losses / torch.where(total > 0, total, 1.0))).sum()
        else:
            blended = losses.sum()
        return self.loss.style_weight * blended


def see_together(objectives: Sequence[Objective], pictures: Tensor) -> list[Seen]:
    """What counts of each of several results (B, 3, H, W), by one pass of the network that their objectives share.

    They are measured together as well, unless they are by different statistics, or in regions.
    """
    activations = objectives[0].network(pictures)
    guided = any(guide is not None for each in objectives for guide in each.measurements.values())
    if guided or len({each.form for each in objectives}) > 1:
        own = _apart(activations, len(objectives))
        return [each._measure_at(each.measurements, part) for each, part in zip(objectives, own, strict=True)]
    statistics = {layer: one for each in objectives for layer, one in each.statistics.items()}
    measured = {(WHOLE, layer): one.measure(activations[layer]) for layer, one in statistics.items()}
    whole = {layer: activations[layer] for each in objectives for layer in each.whole_layers}
    own = _apart(whole, len(objectives))
    apart = {place: [torch.split(value, 1) for value in values] for place, values in measured.items()}
    return [
        Seen(part, {place: tuple(value[index] for value in values) for place, values in apart.items()})
        for index, part in enumerate(own)
    ]


def _apart(activations: Mapping[str, Tensor], batch: int) -> list[dict[str, Tensor]]:
    """The activations of each picture of a batch."""
    parts = {layer: torch.split(activation, 1) for layer, activation in activations.items()}
    return [{layer: part[index] for layer, part in parts.items()} for index in range(batch)]
