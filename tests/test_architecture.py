"""Rules of the architecture, checked by reading the source: import order, sizes, names, forbidden calls."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
# A line may import what stands in an earlier line; names on one line don't import each other.
ORDER = [
    ["private_files", "sending_week"],
    ["config_readers"],
    ["config"],
    ["chatbot.brazil"],
    ["chatbot.core"],
    ["chatbot.extensions"],
    ["chatbot.company"],
    ["chatbot.web"],
    ["chatbot.accounts"],
    ["chatbot.contacts"],
    ["chatbot.channels"],
    ["chatbot.message_templates"],
    ["chatbot.delivery"],
    ["chatbot.billing"],
    ["chatbot.conversations"],
    ["chatbot.media_transfers", "chatbot.segments"],
    ["chatbot.bot", "chatbot.campaigns"],
    ["chatbot.webhooks"],
    ["chatbot.privacy", "chatbot.realtime", "chatbot.ops", "chatbot.panel", "chatbot.demo"],
    ["chatbot.*"],  # modules beside the factory: cli, models
    ["chatbot"],
    ["workers", "wsgi"],
]
PLACE = {name: place for place, names in enumerate(ORDER) for name in names}
NEIGHBOURS = {("chatbot.panel", "chatbot.ops")}  # panel pages show what ops reads
READS_ENVIRONMENT = {"config", "workers.launch"}
ENTRY_POINTS = (".routes", ".tasks", ".cli")

MAX_LINES = 300
MAX_LINES_OF = {"config.py": 215}
MAX_FUNCTION_LINES = 60
MAX_MEDIAN_FUNCTION_LINES = 8
MAX_COMPLEXITY = 12
MAX_PACKAGE_FILES = 18
CLAUSE_BEGINNINGS = {"The", "What", "Who", "Whom", "How", "Where", "That"}
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
FORBIDDEN_MODULES = {"pickle", "shelve", "marshal", "dill", "cloudpickle", "jsonpickle"}
FORBIDDEN_CALLS = {"flushall", "flushdb"}
FORBIDDEN_COMMANDS = {"KEYS", "FLUSHALL", "FLUSHDB"}
REDIS_NAMES = {"client", "redis", "connection", "pipe", "direct", "_client", "_read_client",
               "_write_client", "_direct"}  # fmt: skip


@cache
def sources() -> dict[str, Path]:
    """Return every module of the product by its dotted name."""
    paths = [ROOT / f"{name}.py" for name in (*ORDER[0], *ORDER[1], *ORDER[2], "wsgi")]
    for folder in ("chatbot", "workers"):
        paths += sorted((ROOT / folder).rglob("*.py"))
    found = {}
    for path in paths:
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(sources()[module].read_text(encoding="utf-8"))


def test_docstrings_say_what_to_expect_first() -> None:
    """Few docstrings begin with a clause such as "What ..." or "The ...": it hides what a function does."""
    docstrings = [
        docstring
        for name in sources()
        for node in ast.walk(tree(name))
        if isinstance(node, DOCUMENTED) and (docstring := ast.get_docstring(node))
    ]
    clauses = [text for text in docstrings if text.split()[0] in CLAUSE_BEGINNINGS]
    assert len(clauses) < 0.02 * len(docstrings), clauses


def imports_in(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            yield from (alias.name for alias in inner.names)
        elif isinstance(inner, ast.ImportFrom) and inner.module:
            assert inner.level == 0, "relative imports hide what is imported"
            for alias in inner.names:
                full = f"{inner.module}.{alias.name}"
                yield full if full in sources() else inner.module


@cache
def own_imports(module: str) -> frozenset[str]:
    return frozenset(
        name for name in imports_in(tree(module)) if name in sources() and name != module
    )


def feature(module: str) -> str:
    first, *rest = module.split(".")
    head = ".".join([first, *rest[:1]])
    if first != "chatbot" or head == "chatbot":
        return first
    if head in PLACE or head == "chatbot.simulator":
        return head
    return "chatbot.*" if len(rest) == 1 and sources()[module].name != "__init__.py" else head


def is_entry_point(module: str) -> bool:
    return module.endswith(ENTRY_POINTS) and module != "chatbot.core.tasks"


def modules() -> list[str]:
    return sorted(sources())


def product() -> list[str]:
    return [module for module in modules() if not module.startswith("chatbot.simulator")]


def test_imports_go_one_way() -> None:
    wrong = []
    for module in product():
        here = feature(module)
        for used in sorted(own_imports(module)):
            there = feature(used)
            if there != here and (here, there) not in NEIGHBOURS and PLACE[there] >= PLACE[here]:
                wrong.append(f"{module} imports {used}, which stands to its right")
    assert wrong == []


def test_every_package_has_its_place_in_the_order() -> None:
    packages = {f"chatbot.{p.parent.name}" for p in (ROOT / "chatbot").glob("*/__init__.py")}
    assert packages - {"chatbot.simulator"} <= set(PLACE)
    assert {feature(module) for module in product()} <= set(PLACE)


def test_entry_points_are_imported_only_by_the_factory_and_processes() -> None:
    wrong = [
        f"{module} imports {used}"
        for module in product()
        if feature(module) not in ("chatbot", "chatbot.*", "workers", "wsgi")
        for used in own_imports(module)
        if is_entry_point(used) and not module.endswith(".cli")
    ]
    assert wrong == []


def test_services_and_queries_know_no_request() -> None:
    wrong = []
    for module in product():
        if module.rpartition(".")[2] not in ("service", "queries"):
            continue
        used = own_imports(module)
        wrong += [f"{module}: {m}" for m in used if m.endswith(".forms") or is_entry_point(m)]
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.ImportFrom) and node.module == "flask":
                names = {alias.name for alias in node.names}
                wrong += sorted(names & {"request", "session", "g", "Blueprint", "redirect"})
    assert wrong == []


def test_no_import_cycles() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " → ".join((*path, module))
        if module not in done:
            for used in sorted(own_imports(module)):
                visit(used, (*path, module))
            done.add(module)

    for module in modules():
        visit(module, ())


def test_imports_are_at_the_top_except_in_the_factory() -> None:
    wrong = []
    for module in modules():
        for function in ast.walk(tree(module)):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if module == "chatbot" and function.name == "create_app":
                continue
            inside = [n for n in ast.walk(function) if isinstance(n, ast.Import | ast.ImportFrom)]
            wrong += [f"{module}.{function.name} line {node.lineno}" for node in inside]
    assert wrong == []


def test_the_simulator_imports_nothing_else_of_the_product() -> None:
    own = "chatbot.simulator"
    assert [m for m in modules() if m.startswith(own)
            and any(not used.startswith(own) for used in own_imports(m))] == []  # fmt: skip


def test_only_the_settings_read_the_environment() -> None:
    wrong = []
    for module in product():
        if module in READS_ENVIRONMENT or module.startswith("config"):
            continue
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"):
                if getattr(node.value, "id", "") != "request":  # request.environ is WSGI's
                    wrong.append(f"{module} line {node.lineno}")
            elif isinstance(node, ast.ImportFrom) and node.module == "os":
                wrong += [module for a in node.names if a.name in ("environ", "getenv")]
    assert wrong == []


def test_nothing_unpickles_and_nothing_lists_or_empties_redis() -> None:
    wrong = []
    for module in modules():
        used = {name.split(".")[0] for name in imports_in(tree(module))}
        wrong += [f"{module} imports {name}" for name in used & FORBIDDEN_MODULES]
        wrong += [f"{module} line {line}" for line in forbidden_calls(tree(module))]
    assert wrong == []


def forbidden_calls(parsed: ast.AST) -> Iterator[int]:
    for node in ast.walk(parsed):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = node.func.value
        while isinstance(owner, ast.Call):
            owner = owner.func
        name = getattr(owner, "attr", getattr(owner, "id", ""))
        command = ""
        if node.func.attr == "execute_command" and node.args:
            first = node.args[0]
            command = str(first.value).upper() if isinstance(first, ast.Constant) else ""
        if (
            node.func.attr in FORBIDDEN_CALLS
            or (node.func.attr == "keys" and name in REDIS_NAMES)
            or command in FORBIDDEN_COMMANDS
        ):
            yield node.lineno


def test_files_functions_and_packages_stay_small() -> None:
    wrong, lengths = [], []
    for folder in ("chatbot", "workers", "tests", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            wrong += _too_long(path)
    wrong += _too_long(ROOT / "config.py")
    for module in modules():
        for function in ast.walk(tree(module)):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (function.end_lineno or 0) - function.lineno + 1
                lengths.append(lines)
                if lines > MAX_FUNCTION_LINES and module != "chatbot":
                    wrong.append(f"{module}.{function.name}: {lines} lines")
                if (found := complexity(function)) > MAX_COMPLEXITY:
                    wrong.append(f"{module}.{function.name}: complexity {found}")
    for package in (ROOT / "chatbot").rglob("__init__.py"):
        count = len(list(package.parent.glob("*.py")))
        if count > MAX_PACKAGE_FILES:
            wrong.append(f"{package.parent.relative_to(ROOT)}: {count} files")
    assert wrong == []
    assert statistics.median(lengths) <= MAX_MEDIAN_FUNCTION_LINES


def _too_long(path: Path) -> list[str]:
    name = str(path.relative_to(ROOT))
    lines = len(path.read_text(encoding="utf-8").splitlines())
    return [f"{name}: {lines} lines"] if lines > MAX_LINES_OF.get(name, MAX_LINES) else []


_BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.With,
             ast.AsyncWith, ast.Assert, ast.comprehension, ast.match_case)  # fmt: skip


def complexity(function: ast.AST) -> int:
    """Return McCabe's number: one, and one more for each way the code can go."""
    total = 1
    for node in ast.walk(function):
        if isinstance(node, ast.BoolOp):
            total += len(node.values) - 1
        elif isinstance(node, _BRANCHES) and not isinstance(
            node, ast.With | ast.AsyncWith | ast.Assert
        ):
            total += 1
    return total


def test_these_checks_can_fail() -> None:
    code = "def f():\n    import pickle\n    from chatbot.core import db\n    client.keys('*')\n"
    parsed = ast.parse(code)
    assert set(imports_in(parsed)) == {"pickle", "chatbot.core.db"}
    assert list(forbidden_calls(parsed)) == [4]
    assert complexity(ast.parse("if a and b:\n    pass\n")) == 3
    assert feature("chatbot.core.redis.pool") == "chatbot.core"
    assert feature("chatbot.cli") == "chatbot.*"
    assert feature("chatbot") == "chatbot"
    assert feature("workers.run") == "workers"
