"""The small faults that mutation.py puts into a module, one at a time."""

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

NEGATED: dict[type, type] = {
    ast.Eq: ast.NotEq, ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Is: ast.IsNot, ast.In: ast.NotIn,
}  # fmt: skip
NEGATED |= {negated: operator for operator, negated in NEGATED.items()}
BOUNDARY: dict[type, type] = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
ARITHMETIC: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


@dataclass
class Mutant:
    """One fault: the place in the tree, what stands there instead, and how it reads."""

    module: str
    line: int
    statement: range  # the lines of the statement, or of its head
    diff: str
    place: "Place"
    replacement: ast.AST


@dataclass
class Place:
    """Where a node hangs in its parent: ``parent.field`` or ``parent.field[index]``."""

    parent: ast.AST
    field: str
    index: int | None

    def put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node


def mutants_of(module: str, tree: ast.Module) -> list[Mutant]:
    """Return all mutants of a module in the order of its lines, each with a text of its own."""
    mutants = list(_walk(module, tree, "", range(0)))
    seen: Counter[str] = Counter()
    for mutant in mutants:
        seen[mutant.diff] += 1
        if seen[mutant.diff] > 1:
            mutant.diff += f" (no. {seen[mutant.diff]})"
    return mutants


def _walk(module: str, parent: ast.AST, scope: str, statement: range) -> Iterator[Mutant]:
    for place, node in _children(parent):
        if _is_left_out(node):
            continue
        lines = _head(node) if isinstance(node, ast.stmt) else statement
        for new in _replacements(node, parent):
            yield Mutant(
                module, getattr(node, "lineno", 0), lines, _diff(scope, place, node, new), place, new
            )
        named = isinstance(node, ast.FunctionDef | ast.ClassDef)
        if not isinstance(node, ast.Raise):  # what is raised is a message
            yield from _walk(module, node, f"{scope}.{node.name}".lstrip(".") if named else scope, lines)


def _children(parent: ast.AST) -> Iterator[tuple[Place, ast.AST]]:
    for field, value in ast.iter_fields(parent):
        if field in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        if isinstance(value, ast.AST):
            yield Place(parent, field, None), value
        elif isinstance(value, list):
            yield from ((Place(parent, field, i), v) for i, v in enumerate(value) if isinstance(v, ast.AST))


def _is_left_out(node: ast.AST) -> bool:
    match node:
        case ast.Assert() | ast.JoinedStr():
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name(id="warnings"), attr="warn")):
            return True
    return False


def _head(node: ast.stmt) -> range:
    """Return the lines of a statement without those of its block."""
    block = getattr(node, "body", None)
    return range(node.lineno, max(block[0].lineno, node.lineno + 1) if block else node.end_lineno + 1)


def _replacements(node: ast.AST, parent: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in place of a node."""
    is_condition = getattr(parent, "test", None) is node
    # A conditional expression is swapped as a whole, which is the same as negating its condition.
    negate = not (is_condition and isinstance(parent, ast.IfExp))
    yield from _other_operators(node, negate)
    yield from _other_values(node)
    yield from _other_statements(node)
    if is_condition and negate and not _negates_itself(node):
        yield ast.UnaryOp(ast.Not(), node)


def _other_operators(node: ast.AST, negate: bool) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(ops=[operator]):
            swaps = [BOUNDARY, NEGATED] if negate else [BOUNDARY]
            yield from (_with(node, ops=[swap[type(operator)]()]) for swap in swaps if type(operator) in swap)
        case ast.UnaryOp(op=ast.Not(), operand=operand) if negate:
            yield operand
        case ast.UnaryOp(op=ast.USub(), operand=operand) if not isinstance(operand, ast.Constant):
            yield operand
        case ast.BinOp(op=operator) | ast.AugAssign(op=operator) if type(operator) in ARITHMETIC:
            yield _with(node, op=ARITHMETIC[type(operator)]())
        case ast.BoolOp(op=operator):
            yield _with(node, op=ast.Or() if isinstance(operator, ast.And) else ast.And())


def _other_values(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(value=float(value)):
            yield ast.Constant(2 * value if value else 1.0)
        case ast.IfExp(body=body, orelse=orelse):
            yield _with(node, body=orelse, orelse=body)
        case ast.Call(keywords=keywords):
            for dropped in keywords:
                yield _with(node, keywords=[keyword for keyword in keywords if keyword is not dropped])
        case ast.Slice():
            yield from (_with(node, **{end: None}) for end in ("lower", "upper") if getattr(node, end))


def _other_statements(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Return(value=value) if value and not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
        case ast.Raise() | ast.Expr(value=ast.Call()) | ast.AugAssign():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()


def _negates_itself(condition: ast.AST) -> bool:
    """Return whether another mutation gives the negation."""
    return isinstance(condition, ast.UnaryOp | ast.Constant) or (
        isinstance(condition, ast.Compare) and len(condition.ops) == 1
    )


def _with(node: ast.AST, **fields: Any) -> ast.AST:
    new = copy.copy(node)
    vars(new).update(fields)
    return new


def _diff(scope: str, place: Place, node: ast.AST, new: ast.AST) -> str:
    """Return "function: old -> new" on one line; a number or a slice is shown with what is around it."""
    in_block = hasattr(place.parent, "body") and not isinstance(place.parent, ast.IfExp | ast.Lambda)
    shown = place.parent if isinstance(node, ast.Constant | ast.Slice) and not in_block else node
    before = ast.unparse(shown)
    place.put(new)
    after = ast.unparse(shown if shown is place.parent else new)
    place.put(node)
    return " ".join(f"{scope or 'module'}: {before} -> {after}".split())
