"""Reads one function of the service: the errors that it names, what it calls, and the classes of its variables."""

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.contract.raising import Code

_BUILT_IN: Final = {name for kind in (dict, list, set, str, bytes, tuple) for name in dir(kind)}
_ERROR: Final = "audit.errors.DomainError"
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Scope:
    """A module or a class: what its names stand for. ``name`` is dotted, as in ``inventory.errors.Frozen``."""

    name: str
    module: str
    names: dict[str, str] = field(default_factory=dict)
    bases: list[str] = field(default_factory=list)
    fields: dict[str, ast.expr] = field(default_factory=dict)


@dataclass
class Step:
    """What a function does: the errors that it names itself, and what it calls, each but for what is caught."""

    raises: set[str] = field(default_factory=set)
    calls: set[tuple[str, frozenset[str]]] = field(default_factory=set)


class Reader(ast.NodeVisitor):
    """Reads one function: collects errors and calls, and infers the classes of its variables."""

    def __init__(self, code: "Code", step: Step, scope: str, module: str) -> None:
        self.code, self.step, self.module = code, step, module
        self.owner = scope if scope in code.classes else None
        self.variables: dict[str, set[str]] = {}
        self.caught: frozenset[str] = frozenset()

    def read(self, node: Function) -> None:
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
        for argument in filter(None, arguments):
            if argument.annotation is not None:
                self.variables[argument.arg] = self._classes_in(argument.annotation)
        if self.owner:
            self.variables |= {"self": {self.owner}, "cls": {self.owner}}
        for _ in range(2):  # The second time with the classes of variables that are assigned further down.
            for statement in node.body:
                self.visit(statement)

    def _classes_in(self, annotation: ast.expr, module: str = "") -> set[str]:
        """The classes that an annotation names, those of items included."""
        found: set[str] = set()
        for node in ast.walk(annotation):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                try:
                    found |= self._classes_in(ast.parse(node.value, mode="eval").body, module)
                except SyntaxError:
                    continue
            elif isinstance(node, ast.Name | ast.Attribute):
                name = self.code.resolve(module or self.module, ast.unparse(node)) if is_dotted(node) else None
                if name in self.code.classes:
                    found.add(str(name))
                elif name in self.code.functions:  # An alias, such as ``Verdict = StoredAnswer | …``.
                    alias, _, defined_in = self.code.functions[str(name)]
                    if isinstance(alias.body[0], ast.Expr) and not isinstance(alias.body[0].value, ast.Call):
                        found |= self._classes_in(alias.body[0].value, defined_in)
        return found

    def classes_of(self, node: ast.expr) -> set[str]:
        """The classes that a value may have; those of its items if it is a collection."""
        if isinstance(node, ast.Name) and node.id in self.variables:
            return self.variables[node.id]
        if is_dotted(node) and (named := self._of_name(ast.unparse(node))):
            return named
        if isinstance(node, ast.Attribute):
            return self._of_attribute(node)
        if isinstance(node, ast.Call):
            return self.classes_of(node.func) or set().union(*map(self.classes_of, node.args))
        if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp | ast.DictComp):
            self._assign_loops(node.generators)
        return set().union(*map(self.classes_of, _parts(node)))

    def _of_name(self, dotted: str) -> set[str]:
        name = self.code.resolve(self.module, dotted)
        if name in self.code.classes:
            return {str(name)}
        return self._returned(str(name)) if name in self.code.functions else set()

    def _of_attribute(self, node: ast.Attribute) -> set[str]:
        found: set[str] = set()
        for owner in self.classes_of(node.value):
            annotation = self.code.field_type(owner, node.attr)
            if annotation is not None:
                found |= self._classes_in(annotation, self.code.scopes[owner].module)
            for method in self.code.methods(owner, node.attr)[:1]:
                found |= self._returned(method)
        return found or (self.classes_of(node.value) if node.attr in _BUILT_IN else set())

    def _returned(self, function: str) -> set[str]:
        node, _, module = self.code.functions[function]
        if node.returns is not None:
            return self._classes_in(node.returns, module)
        return set()

    def _assign_loops(self, generators: list[ast.comprehension]) -> None:
        for each in generators:
            self._assign(each.target, self.classes_of(each.iter))

    def _assign(self, target: ast.expr, classes: set[str]) -> None:
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                self.variables[node.id] = self.variables.get(node.id, set()) | classes

    # -------------------------------------------------------------------------------------------------------- visiting

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self._assign(target, self.classes_of(node.value))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._assign(node.target, self._classes_in(node.annotation))
        if node.value:
            self.visit(node.value)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self._assign(node.target, self.classes_of(node.value))

    def visit_For(self, node: ast.For) -> None:
        self._assign(node.target, self.classes_of(node.iter))
        self.generic_visit(node)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            if item.optional_vars is not None:
                self._assign(item.optional_vars, self.classes_of(item.context_expr))
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._assign_loops([node])
        self.generic_visit(node)

    def visit_Try(self, node: ast.Try) -> None:
        caught = {error for handler in node.handlers if not _passes_on(handler) for error in self._kinds(handler)}
        before, self.caught = self.caught, self.caught | caught
        for statement in node.body:
            self.visit(statement)
        self.caught = before
        for statement in [*(each for handler in node.handlers for each in handler.body), *node.orelse, *node.finalbody]:
            self.visit(statement)

    def _kinds(self, handler: ast.ExceptHandler) -> set[str]:
        return self._classes_in(handler.type) if handler.type is not None else set()

    def visit_FunctionDef(self, node: Function) -> None:
        for argument in [*node.args.args, *node.args.kwonlyargs]:
            if argument.annotation is not None:
                self.variables[argument.arg] = self._classes_in(argument.annotation)
        for statement in node.body:
            self.visit(statement)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in {"isinstance", "issubclass", "cast"}:
            self.visit(node.args[1 if node.func.id == "cast" else 0])
            return
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id not in self.variables:
            self._use(self.code.resolve(self.module, node.id))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        name = self.code.resolve(self.module, ast.unparse(node)) if is_dotted(node) else None
        if name in self.code.functions or name in self.code.classes:
            self._use(name)
            if name in self.code.functions and isinstance(node.value, ast.Name | ast.Attribute):
                self.visit(node.value)
            return
        self.visit(node.value)
        owners = self.classes_of(node.value)
        if owners:
            for owner in owners:
                for method in self.code.methods(owner, node.attr):
                    self._use(method)

    def _use(self, name: str | None) -> None:
        if name is None:
            return
        if _ERROR in self.code.ancestors(name) and not self.code.is_caught(name, self.caught):
            self.step.raises.add(name)
        if name in self.code.functions or name in self.code.classes:
            self.step.calls.add((name, self.caught))


def _parts(node: ast.expr) -> list[ast.expr]:
    """The parts of an expression that it is one of, or a collection of."""
    if isinstance(node, ast.Subscript | ast.Starred | ast.Await | ast.DictComp):
        return [node.value]
    if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.SetComp):
        return [node.elt]
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    if isinstance(node, ast.BoolOp):
        return node.values
    return node.elts if isinstance(node, ast.List | ast.Tuple | ast.Set) else []


def is_dotted(node: ast.expr) -> bool:
    """Whether an expression is a name, or an attribute of one."""
    return isinstance(node, ast.Name) or (isinstance(node, ast.Attribute) and is_dotted(node.value))


def _passes_on(handler: ast.ExceptHandler) -> bool:
    """Whether what is caught is raised again, or kept: a batch returns the refusals of its requests as values."""
    causes = {id(node.cause) for node in ast.walk(handler) if isinstance(node, ast.Raise)}
    return any(
        (isinstance(node, ast.Raise) and node.exc is None)
        or (isinstance(node, ast.Name) and node.id == handler.name and id(node) not in causes)
        for node in ast.walk(handler)
    )
