"""The objective: image -> named terms -> total. Targets are computed once, terms of weight zero are not built."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nst_lab.config.schema import Config
from nst_lab.images.catalog import short_names
from nst_lab.losses.style import Measured, statistic
from nst_lab.losses.terms import squared_error, total_variation
from nst_lab.memory import Memory

WEIGHTS = ("content_weight", "style_weight", "tv_weight")  # of the loss; targets do not depend on them


@dataclass(frozen=True)
class Losses:
    """One evaluation. `content`, `style` and `tv` are weighted and add up to `total`; `terms` are raw, by name."""

    total: Tensor
    content: Tensor
    style: Tensor
    tv: Tensor
    terms: dict[str, Tensor]

    def detach(self) -> "Losses":
        """The same without the graph behind it."""
        return self._each(Tensor.detach)

    def to(self, device: torch.device) -> "Losses":
        """The same on a device."""
        return self._each(lambda value: value.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Losses":
        terms = {name: change(value) for name, value in self.terms.items()}
        return Losses(change(self.total), change(self.content), change(self.style), change(self.tv), terms)

    def to_floats(self) -> dict[str, Any]:
        """The same as Python numbers, the terms under `terms` (this waits for the device)."""
        terms = {name: value.item() for name, value in self.terms.items()}
        return {name: getattr(self, name).item() for name in ("total", "content", "style", "tv")} | {"terms": terms}


def active_layers(names: Sequence[str], weights: Sequence[float], factor: float) -> dict[str, float]:
    """Layer -> weight, without the layers that cannot contribute."""
    return {name: weight for name, weight in zip(names, weights, strict=True) if factor > 0 and weight > 0}


def needed_taps(config: Config) -> list[str]:
    """The layers that the objective of a filled configuration reads; the network may be cut after the deepest."""
    layers, loss = config.layers, config.loss
    content = active_layers(layers.content, layers.content_weights, loss.content_weight)
    style = active_layers(layers.style, layers.style_weights, loss.style_weight)
    return list(content | style)


def style_shares(weights: Sequence[float], blend: str) -> list[float]:
    """The factor of each style: normalised to sum 1 for `weighted` and `targets`, as given for the seed's two."""
    total = sum(weights)
    return [weight / total for weight in weights] if blend in ("weighted", "targets") else list(weights)


def _digest(picture: Tensor) -> bytes:
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

    Args:
        network: image -> activations by tap (`vgg.VGG19`).
        content: picture (1, 3, H, W) whose representation is the target; may be None if the content weight is 0.
        styles: pictures by name, any sizes; those of weight zero may be missing.
        config: a filled configuration.
        memory: remembers the targets of this network for other objectives.
    """

    def __init__(
        self,
        network: nn.Module,
        content: Tensor | None,
        styles: dict[str, Tensor],
        config: Config,
        memory: Memory | None = None,
    ):
        super().__init__()
        layers, self.loss = config.layers, config.loss
        self.network = network
        self.memory = memory or Memory(0)
        self.blend = config.style.blend
        self.content_layers = active_layers(layers.content, layers.content_weights, self.loss.content_weight)
        self.style_layers = active_layers(layers.style, layers.style_weights, self.loss.style_weight)
        self.statistics = {layer: statistic(config, layer) for layer in self.style_layers}
        shares = style_shares(config.style.weights, self.blend) if self.style_layers else []
        names = short_names(config.style.images) if self.style_layers else []
        self.style_shares = {name: share for name, share in zip(names, shares, strict=True) if share > 0}
        with torch.no_grad():
            self.content_targets = self._content_targets(content)
            self.style_targets = self._style_targets(styles)

    def _content_targets(self, content: Tensor | None) -> dict[str, Tensor]:
        if not self.content_layers:
            return {}

        def represent() -> dict[str, Tensor]:
            activations = self.network(content)
            return {layer: activations[layer] for layer in self.content_layers}

        return self.memory.recall(("content", tuple(self.content_layers), _digest(content)), represent)

    def _style_targets(self, styles: dict[str, Tensor]) -> dict[str, dict[str, Measured]]:
        form = tuple((key, value) for key, value in vars(self.loss).items() if key not in WEIGHTS)
        keys = {name: (form, tuple(self.style_layers), _digest(styles[name])) for name in self.style_shares}
        measured = {
            name: self.memory.recall(("measured", *key), lambda name=name: self._measure(self.network(styles[name])))
            for name, key in keys.items()
        }
        if self.blend == "targets" and len(measured) > 1:
            blended = {layer: self._blend(measured, layer) for layer in self.style_layers}
            self.style_shares = {"blended": 1.0}
            return {"blended": self._targets(blended)}
        return {
            name: self.memory.recall(("target", *keys[name]), lambda layers=layers: self._targets(layers))
            for name, layers in measured.items()
        }

    def _targets(self, measured: dict[str, Measured]) -> dict[str, Measured]:
        return {layer: self.statistics[layer].target(value) for layer, value in measured.items()}

    def _measure(self, activations: dict[str, Tensor]) -> dict[str, Measured]:
        return {layer: self.statistics[layer].measure(activations[layer]) for layer in self.style_layers}

    def _blend(self, measured: dict[str, dict[str, Measured]], layer: str) -> Measured:
        parts = zip(*(measured[name][layer] for name in self.style_shares), strict=True)
        shares = self.style_shares.values()
        return tuple(sum(share * value for share, value in zip(shares, part, strict=True)) for part in parts)

    def forward(self, image: Tensor) -> Losses:
        """Evaluate at `image` (1, 3, H, W), RGB in [0, 1]."""
        activations = self.network(image) if self.content_layers or self.style_layers else {}
        terms: dict[str, Tensor] = {}
        content = self._content(activations, terms, image)
        style = self._style(activations, terms, image)
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
        for layer, weight in self.content_layers.items():
            error = squared_error(activations[layer], self.content_targets[layer], self.loss.content_reduction)
            terms[f"content/{layer}"] = self.loss.content_factor * error
            total = total + weight * terms[f"content/{layer}"]
        return self.loss.content_weight * total

    def _style(self, activations: dict[str, Tensor], terms: dict[str, Tensor], image: Tensor) -> Tensor:
        if not self.style_shares:
            return image.new_zeros(())
        measured = self._measure(activations)
        per_style = []
        for name, share in self.style_shares.items():
            total = image.new_zeros(())
            for layer, weight in self.style_layers.items():
                error = self.statistics[layer].distance(measured[layer], self.style_targets[name][layer]).to(image)
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
