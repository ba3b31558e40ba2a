"""The domain errors that a function may raise, found by reading the code: what it names, and what it calls names.

The answer is at most too large. A function "calls" whatever function or class it names; a method of a value whose class
isn't plain from annotations is every method of that name. Errors that an ``except`` around a call catches are left out.
"""

import ast
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Final

from django.conf import settings

from audit.errors import DomainError
from tests.contract.reading import Function, Reader, Scope, Step

_PACKAGES: Final = ("audit", "inventory", "reservations")
_LEFT_OUT: Final = {"migrations", "admin", "console", "management"}
"""Folders whose code no view of the API calls."""


class Code:
    """The project's functions and classes, by dotted name."""

    def __init__(self, root: Path) -> None:
        self.scopes: dict[str, Scope] = {}
        self.functions: dict[str, tuple[Function, str, str]] = {}
        self.classes: set[str] = set()
        self.by_method: dict[str, list[str]] = {}
        for package in _PACKAGES:
            for path in sorted((root / package).rglob("*.py")):
                if not _LEFT_OUT & set(path.parts):
                    self._read(path, path.relative_to(root))

    def _read(self, path: Path, relative: Path) -> None:
        parts = relative.with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        self.scopes[name] = module = Scope(name, name)
        self._define(module, ast.parse(path.read_text(encoding="utf-8")).body, parts[:-1])

    def _define(self, scope: Scope, body: list[ast.stmt], package: tuple[str, ...]) -> None:
        for node in body:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    scope.names[alias.asname or alias.name.partition(".")[0]] = (
                        alias.name if alias.asname else alias.name.partition(".")[0]
                    )
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    scope.names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            elif isinstance(node, Function):
                self._define_function(scope, node)
            elif isinstance(node, ast.ClassDef):
                self._define_class(scope, node, package)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                self._define_value(scope, node)
            elif isinstance(node, ast.If | ast.Try):
                self._define(scope, [*node.body, *node.orelse], package)

    def _define_function(self, scope: Scope, node: Function) -> None:
        name = f"{scope.name}.{node.name}"
        scope.names[node.name] = name
        self.functions[name] = (node, scope.name, scope.module)
        self.by_method.setdefault(node.name, []).append(name)

    def _define_class(self, scope: Scope, node: ast.ClassDef, package: tuple[str, ...]) -> None:
        name = f"{scope.name}.{node.name}"
        scope.names[node.name] = name
        self.classes.add(name)
        self.scopes[name] = Scope(name, scope.module, bases=[ast.unparse(base) for base in node.bases])
        self._define(self.scopes[name], node.body, package)

    def _define_value(self, scope: Scope, node: ast.Assign | ast.AnnAssign) -> None:
        """A value: its annotation says its class; what it was made from is called with it, as by a partial."""
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            if not isinstance(target, ast.Name):
                continue
            name = f"{scope.name}.{target.id}"
            scope.names[target.id] = name
            if isinstance(node, ast.AnnAssign):
                scope.fields[target.id] = node.annotation
            if node.value is not None:
                made = ast.FunctionDef(
                    name=target.id,
                    args=ast.arguments([], [], None, [], [], None, []),
                    body=[ast.Expr(node.value)],
                    decorator_list=[],
                    returns=node.annotation if isinstance(node, ast.AnnAssign) else None,
                )
                self.functions[name] = (made, scope.name, scope.module)

    # ------------------------------------------------------------------------------------------------- what names mean

    def resolve(self, module: str, dotted: str) -> str | None:
        """The dotted name that an expression such as ``errors.Frozen`` stands for in a module; None if unknown."""
        first, *rest = dotted.split(".")
        found = self.scopes[module].names.get(first)
        for part in rest:
            found = self._member(found, part) if found else None
        return self._origin(found) if found else None

    def _origin(self, name: str) -> str:
        """Where a name that a module has imported itself is defined."""
        for _ in range(5):
            if name in self.functions or name in self.scopes:
                return name
            scope, _, last = name.rpartition(".")
            if scope not in self.scopes or last not in self.scopes[scope].names:
                return name
            name = self.scopes[scope].names[last]
        return name

    def _member(self, name: str, part: str) -> str | None:
        name = self._origin(name)
        if name in self.classes:
            return next(iter(self.methods(name, part)), None)
        return f"{name}.{part}"

    def ancestors(self, name: str) -> Iterator[str]:
        """A class and its bases, those of this project."""
        if name not in self.classes:
            return
        yield name
        scope = self.scopes[name]
        for base in scope.bases:
            if found := self.resolve(scope.module, base.partition("[")[0]):
                yield from self.ancestors(found)

    @cached_property
    def heirs(self) -> dict[str, set[str]]:
        """The subclasses of each class."""
        found: dict[str, set[str]] = {}
        for name in self.classes:
            for base in self.ancestors(name):
                found.setdefault(base, set()).add(name)
        return found

    def methods(self, name: str, method: str) -> list[str]:
        """The method of a class, as it or a base defines it, and as its subclasses do."""
        own = next((f"{base}.{method}" for base in self.ancestors(name) if f"{base}.{method}" in self.functions), None)
        heirs = sorted(f"{heir}.{method}" for heir in self.heirs[name] if f"{heir}.{method}" in self.functions)
        if self._is_protocol(name):
            heirs += self.by_method.get(method, [])
        return [*([own] if own else []), *heirs]

    def _is_protocol(self, name: str) -> bool:
        return any("Protocol" in base for base in self.scopes[name].bases)

    def field_type(self, name: str, attribute: str) -> ast.expr | None:
        """The annotation of a class's field."""
        for base in self.ancestors(name):
            if attribute in self.scopes[base].fields:
                return self.scopes[base].fields[attribute]
        return None

    # ----------------------------------------------------------------------------------------------- what functions do

    def raised(self, name: str) -> dict[str, str]:
        """The errors that a function may raise, by dotted name; with each the function in which it is named."""
        if name not in self._raised:
            self._settle(name)
        return self._raised[name]

    @cached_property
    def _raised(self) -> dict[str, dict[str, str]]:
        return {}

    def _settle(self, name: str) -> None:
        """Find what a function and all that it calls raise: again and again, until nothing is added."""
        reached = self._reached_from(name)
        found = {each: dict.fromkeys(self.step(each).raises, each) for each in reached}
        found |= {each: self._raised[each] for each in reached if each in self._raised}
        changed = True
        while changed:
            changed = False
            for each in reached:
                for called, caught in self.step(each).calls:
                    for error, where in found[called].items():
                        if error not in found[each] and not self.is_caught(error, caught):
                            found[each][error] = where
                            changed = True
        self._raised.update(found)

    def _reached_from(self, name: str) -> list[str]:
        """A function and all that it calls, those called last first."""
        reached, waiting = {name: None}, [name]
        while waiting:
            for called, _ in self.step(waiting.pop()).calls:
                if called not in reached:
                    reached[called] = None
                    waiting.append(called)
        return list(reversed(reached))

    def is_caught(self, error: str, caught: frozenset[str]) -> bool:
        """Whether one of these classes is the error's or a base of it."""
        return bool(caught) and any(base in caught for base in self.ancestors(error))

    def step(self, name: str) -> Step:
        """What a function does, or the making of an object of a class."""
        if name not in self._steps:
            self._steps[name] = self._step_of(name)
        return self._steps[name]

    @cached_property
    def _steps(self) -> dict[str, Step]:
        return {}

    def _step_of(self, name: str) -> Step:
        step = Step()
        if name in self.classes:
            for special in ("__init__", "__post_init__", "__enter__", "__exit__", "__call__"):
                step.calls |= {(method, frozenset()) for method in self.methods(name, special)[:1]}
        elif name in self.functions:
            node, scope, module = self.functions[name]
            Reader(self, step, scope, module).read(node)
        return step


def read_code() -> Code:
    """The code of the service."""
    return Code(Path(settings.BASE_DIR))


def error_of(name: str) -> type[DomainError]:
    """The class of an error's dotted name."""
    module, _, attribute = name.rpartition(".")
    found: type[DomainError] = getattr(import_module(module), attribute)
    return found
