"""The memory of L-BFGS: what the last steps taught about the curvature, and the quasi-Newton direction from it."""

from collections.abc import Sequence
from copy import copy

import torch
from torch import Tensor

LEAST_CURVATURE = 1e-10  # cosine between a move and the change of the gradient, below which a pair says nothing


class Pairs:
    """The last m moves and changes of the gradient of B pictures of N values, each picture with its own.

    S and Y are one tensor (B, m, N) each, filled in a ring; the upper triangle of Sᵀ Y, the oldest pair first, and
    Yᵀ P Y (B, m, m) are kept up to date by one product of a step with each. The direction is that of the two-loop
    recursion (Nocedal and Wright 2006, algorithm 7.4) from H₀ = γ P, P diagonal, in its compact form: two products with
    S and Y, and a triangular system of the small matrices.
    `add`, `clear` and `direction` never wait for the device, and what they change stays where it is in memory.

    Args:
        variable: the pictures (B, …), for their number, size, type and device.
        history: m.
        preconditioner: P, of the shape of one picture or of all; the identity by default.
        scaling: which γ of the pairs' sᵀ y / yᵀ P y, `newest` or `greatest`. The newest one is mostly smaller, and what
            the pairs do not tell then hardly moves.
    """

    VECTORS = ("moves", "changes")
    STATE = ("count", "newest", "products", "squares")
    BY_PICTURE = (*VECTORS, *STATE, "preconditioner")

    def __init__(self, variable: Tensor, history: int, preconditioner: Tensor | None = None, scaling: str = "newest"):
        batch, size = variable.shape[0], variable[0].numel()
        self.history, self.scaling = history, scaling
        self.moves, self.changes = variable.new_zeros(2, batch, history, size)
        ones = variable.new_ones(batch, 1)
        self.preconditioner = ones if preconditioner is None else ones * preconditioner.detach().reshape(-1, size)
        # In double precision where the device has it: sums of products, of which differences are taken.
        exact = variable.dtype if variable.device.type == "mps" else torch.float64
        self.products, self.squares = variable.new_zeros(2, batch, history, history, dtype=exact)
        self.count = torch.zeros(batch, dtype=torch.long, device=variable.device)
        self.newest = torch.full_like(self.count, history - 1)  # the slot of the newest pair
        self.batch = torch.arange(batch, device=variable.device)

    def add(self, move: Tensor, change: Tensor, wanted: Tensor) -> None:
        """Take in a pair (B, N) of those pictures that are wanted (B,) and whose curvature is positive."""
        wanted = wanted & _curved(dot(move, change), move.norm(dim=1), change.norm(dim=1))
        slot = (self.newest + wanted) % self.history
        at = self.batch, slot
        move = self.moves[at] = torch.where(wanted[:, None], move, self.moves[at])
        change = self.changes[at] = torch.where(wanted[:, None], change, self.changes[at])
        self.products[self.batch, :, slot] = _dots(self.moves, change).to(self.products)
        squares = _dots(self.changes, self.scaled(change)).to(self.squares)
        self.squares[self.batch, :, slot] = self.squares[self.batch, slot] = squares
        self.newest.copy_(slot)
        self.count.copy_((self.count + wanted).clamp(max=self.history))

    def clear(self, unwanted: Tensor) -> None:
        """Forget the pairs of those pictures (B,)."""
        self.count.copy_(torch.where(unwanted, 0, self.count))

    def direction(self, gradient: Tensor, held: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """-H g (B, N), and for which pictures there was a pair to tell it (B,); for the others it is -P g.

        Args:
            gradient: g (B, N).
            held: values (B, N) that must not move, whose gradient is zero; the pairs then count without them, and only
                those whose curvature there is positive.
        """
        moves, changes, products, squares = self.moves, self.changes, self.products, self.squares
        if held is not None:
            moves, changes = moves.masked_fill(held[:, None], 0), changes.masked_fill(held[:, None], 0)
            products = (moves @ changes.mT).to(products)
            squares = (self.scaled(changes) @ changes.mT).to(squares)
        slots = torch.arange(self.history, device=gradient.device)
        order = (self.newest[:, None] + 1 + slots) % self.history  # the oldest first
        valid = slots >= self.history - self.count[:, None]
        if held is not None:
            curvature = products.diagonal(dim1=1, dim2=2)
            valid = valid & _curved(curvature, moves.norm(dim=2), changes.norm(dim=2)).gather(1, order)
        first = self.scaled(gradient)
        along, across = (
            _dots(vectors, by).to(products).gather(1, order) for vectors, by in ((moves, gradient), (changes, first))
        )
        scale, of_moves, of_changes = _weights(
            _in_order(products, order), _in_order(squares, order), along, across, valid, self.scaling
        )
        place = (slots - self.newest[:, None] - 1) % self.history  # in that order
        by_moves, by_changes = (
            (weights.gather(1, place).to(gradient)[:, None] @ vectors)[:, 0]
            for weights, vectors in ((of_moves, moves), (of_changes, changes))
        )
        direction = self.scaled(by_changes) - scale[:, None].to(gradient) * first
        return direction.add_(by_moves), valid.any(dim=1)

    def scaled(self, vectors: Tensor) -> Tensor:
        """P of (B, N), or of (B, m, N)."""
        if self.preconditioner.shape[1] == 1:  # the identity
            return vectors
        return vectors * (self.preconditioner if vectors.dim() == 2 else self.preconditioner[:, None])

    def known(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """The moves and changes (m', N) that there are of the one picture, the oldest first, on the CPU."""
        order = [(int(self.newest) + 1 + slot) % self.history for slot in range(self.history)]
        order = order[self.history - int(self.count) :]
        moves, changes = (each[0].to("cpu", dtype)[order] for each in (self.moves, self.changes))
        return moves, changes

    def recall(self, moves: Tensor, changes: Tensor) -> None:
        """Begin with what another run got to `known`, as much of it as there is room for."""
        # One by one, since all of them in full precision would take as much again.
        pairs = [(move, change) for move, change in zip(moves, changes, strict=True) if _are_curved(move, change)]
        pairs = pairs[-self.history :]
        for slot, (move, change) in enumerate(pairs):
            self.moves[:, slot], self.changes[:, slot] = move, change
        if used := len(pairs):
            mine, theirs = self.moves[:, :used], self.changes[:, :used]
            self.products[:, :used, :used] = (mine @ theirs.mT).to(self.products)
            self.squares[:, :used, :used] = (self.scaled(theirs) @ theirs.mT).to(self.squares)
            self.count, self.newest = torch.full_like(self.count, used), torch.full_like(self.newest, used - 1)

    def state_dict(self) -> dict[str, Tensor]:
        """What there is, without the slots that were never filled, in memory of its own."""
        used = int((self.squares.diagonal(dim1=1, dim2=2) > 0).any(dim=0).sum())
        vectors = {name: getattr(self, name)[:, :used].clone() for name in self.VECTORS}
        own = {name: getattr(self, name).clone() for name in self.STATE}
        return vectors | own | {"preconditioner": self.preconditioner.clone()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue where `state_dict` was taken."""
        for name in self.VECTORS:
            getattr(self, name)[:, : state[name].shape[1]].copy_(state[name])
        for name in self.STATE:
            getattr(self, name).copy_(state[name])
        self.preconditioner = state["preconditioner"].to(self.moves)

    @property
    def kind(self) -> tuple[object, ...]:
        """What those have in common that can be joined."""
        return self.history, self.scaling, self.preconditioner.shape[1]

    @classmethod
    def joined(cls, parts: Sequence["Pairs"]) -> "Pairs":
        """Those of the pictures of all."""
        whole = copy(parts[0])
        for name in cls.BY_PICTURE:
            setattr(whole, name, torch.cat([getattr(each, name) for each in parts]))
        whole.batch = torch.arange(len(whole.count), device=whole.count.device)
        return whole

    def follow(self, whole: "Pairs", rows: slice) -> None:
        """Be those pictures' of a larger batch, in its memory."""
        for name in self.BY_PICTURE:
            setattr(self, name, getattr(whole, name)[rows])


def _weights(
    products: Tensor, squares: Tensor, along: Tensor, across: Tensor, valid: Tensor, scaling: str
) -> tuple[Tensor, Tensor, Tensor]:
    """γ (B,), a and b (B, m) of -H g = S a + P (Y b - γ g) (Byrd, Nocedal and Schnabel 1994, theorem 2.2, H₀ = γ P).

    With R the upper triangle of Sᵀ Y, D its diagonal and u = R⁻¹ Sᵀ g: a = R⁻ᵀ (γ Yᵀ P g - (D + γ Yᵀ P Y) u), b = γ u,
    and γ = sᵀ y / yᵀ P y of the newest pair or the greatest of all, 1 without one. A pair that is not valid becomes a
    row and a column of the identity, and its products zero.

    Args:
        products, squares: Sᵀ Y and Yᵀ P Y (B, m, m), the oldest pair first.
        along, across: Sᵀ g and Yᵀ P g (B, m), likewise.
        valid: which pairs there are (B, m), likewise.
        scaling: `newest` or `greatest`.
    """
    both = valid[:, :, None] & valid[:, None]
    products, squares = torch.where(both, products, 0), torch.where(both, squares, 0)
    curvature, lengths = (each.diagonal(dim1=1, dim2=2) for each in (products, squares))
    triangle = products.triu() + torch.diag_embed((~valid).to(products))
    ratios = torch.where(valid, curvature / torch.where(valid, lengths, 1), 0)
    ages = valid * torch.arange(1, valid.shape[1] + 1, device=valid.device)
    chosen = (ages if scaling == "newest" else ratios).argmax(dim=1, keepdim=True)
    scale = torch.where(valid.any(dim=1, keepdim=True), ratios.gather(1, chosen), 1)
    along, across = (torch.where(valid, each, 0)[:, :, None] for each in (along, across))
    inner = torch.linalg.solve_triangular(triangle, along, upper=True)
    scaled = scale[:, :, None]
    outer = scaled * across - curvature[:, :, None] * inner - scaled * (squares @ inner)
    of_moves = torch.linalg.solve_triangular(triangle.mT, outer, upper=False)
    return scale[:, 0], of_moves[:, :, 0], (scaled * inner)[:, :, 0]


def _in_order(small: Tensor, order: Tensor) -> Tensor:
    """Rows and columns (B, m, m) of each picture, in its order (B, m)."""
    rows = small.gather(1, order[:, :, None].expand_as(small))
    return rows.gather(2, order[:, None].expand_as(small))


def _curved(curvature: Tensor, move: Tensor, change: Tensor) -> Tensor:
    """Whether a pair with this product and these lengths says something of the curvature."""
    return curvature > LEAST_CURVATURE * move * change


def _are_curved(move: Tensor, change: Tensor) -> bool:
    """Whether a pair (N) and (N) of any precision says something of the curvature."""
    move, change = move.double(), change.double()
    return bool(_curved(move @ change, move.norm(), change.norm()))


def _dots(vectors: Tensor, vector: Tensor) -> Tensor:
    """(B, m, N) and (B, N) -> (B, m).

    As a product of rows, for which CPUs sum in an order that does not depend on the batch, and several times faster.
    """
    return (vector[:, None] @ vectors.mT)[:, 0]


def dot(one: Tensor, other: Tensor) -> Tensor:
    """(B, N) and (B, N) -> (B,)."""
    return _dots(one[:, None], other)[:, 0]
