"""Which trainable parameter is captured how.

A parameter whose every owner is a layer of a known family, in the same role, is read from the calls
of those layers. Every other one - a bare parameter, an unknown layer, a weight shared by layers of
different kinds - is materialised: its per-sample gradients are formed by automatic differentiation.
Both are exact; materialising costs a backward pass per sample.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from genmem.influence.capture.sites import Site, SumSite, TokenSite
from genmem.influence.layers import Family, ScaleFamily, TokenFamily, family_of


@dataclass(frozen=True)
class Plan:
    """Sites that are read from calls, and the names of parameters that are materialised."""

    sites: tuple[Site, ...]
    materialised: tuple[str, ...]

    def without(self, names: Iterable[str]) -> Plan:
        """The plan with the sites of `names` materialised instead."""
        gone = set(names)
        moved = [site for site in self.sites if gone & set(site.names)]
        extra = tuple(name for site in moved for name in site.names)
        return Plan(tuple(s for s in self.sites if s not in moved), self.materialised + extra)

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The layers whose calls must be seen, each once."""
        return tuple(dict.fromkeys(m for site in self.sites for m in site.modules))


@dataclass(frozen=True)
class _Owner:
    module: nn.Module
    attribute: str


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that require gradients by name, each once, but those of no numbers; ValueError
    if there are none."""
    found = {name: p for name, p in model.named_parameters() if p.requires_grad and p.numel()}
    if not found:
        raise ValueError(
            "influence: no parameter of the model requires a gradient; "
            "at least one trainable parameter is wanted"
        )
    return found


def make_plan(model: nn.Module) -> Plan:
    """The plan of a model by its structure alone; a probe on data may materialise more."""
    parameters = trainable(model)
    owners = _owners(model)
    names = {id(p): name for name, p in parameters.items()}
    sites: list[Site] = []
    taken: set[str] = set()
    for name, parameter in parameters.items():
        site = None if name in taken else _site(name, parameter, owners, names)
        if site is not None:
            sites.append(site)
            taken |= set(site.names)
    # A bias listed before the weight it rides on has made a site of its own: the weight's wins.
    riding = {site.names[1] for site in sites if len(site.names) == 2}
    kept = tuple(s for s in sites if len(s.names) == 2 or s.names[0] not in riding)
    return Plan(kept, tuple(name for name in parameters if name not in taken))


def _owners(model: nn.Module) -> dict[int, list[_Owner]]:
    owners: dict[int, list[_Owner]] = {}
    for module in model.modules():
        for attribute, parameter in module._parameters.items():
            if parameter is not None:
                owners.setdefault(id(parameter), []).append(_Owner(module, attribute))
    return owners


def _site(
    name: str, parameter: Tensor, owners: dict[int, list[_Owner]], names: dict[int, str]
) -> Site | None:
    held = owners[id(parameter)]
    modules = tuple(owner.module for owner in held)
    families = tuple(f for f in map(family_of, modules) if f is not None)
    roles = {owner.attribute for owner in held}
    if len(families) < len(held) or len(roles) > 1:
        return None
    role = roles.pop()
    if role == "bias" or all(isinstance(f, ScaleFamily) for f in families):
        return SumSite((name,), modules, parameter, role, families)
    first = families[0]
    if not isinstance(first, TokenFamily) or not _alike(first, families, modules):
        return None
    bias = _riding_bias(first, modules, owners, names)
    return TokenSite((name,) if bias is None else (name, bias), modules, parameter, first)


def _alike(
    first: TokenFamily, families: tuple[Family, ...], modules: tuple[nn.Module, ...]
) -> bool:
    """Whether a weight shared by several layers means the same matrix in each."""
    return all(f is first for f in families) and len({first.geometry(m) for m in modules}) == 1


def _riding_bias(
    family: TokenFamily,
    modules: tuple[nn.Module, ...],
    owners: dict[int, list[_Owner]],
    names: dict[int, str],
) -> str | None:
    """The bias that every one of the layers, and no other module, adds to its tokens."""
    bias = modules[0]._parameters.get("bias")
    if not family.bias_is_an_input or bias is None or id(bias) not in names:
        return None
    held = owners[id(bias)]
    same = {id(o.module) for o in held} == {id(m) for m in modules}
    return names[id(bias)] if same and {o.attribute for o in held} == {"bias"} else None
