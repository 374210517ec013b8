"""No data is ever run as code: no pickle, no weights that may hold one, no shell, and JSON only between processes."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.queue import Broker
from worker.app import app

ROOT = Path(__file__).parents[2]
ROOMS = ("backend", "worker", "frontend", "migrations", "benchmarks")
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "jsonpickle"}
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput"}
MUST_SAY = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "np.save": ("allow_pickle", False),
}
MUST_NOT_SAY = {"shell": True, "allow_pickle": True, "weights_only": False, "unsafe_allow_html": True}


def dangers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module or "").split(".")[0], *(alias.name for alias in node.names)}
            yield from sorted(names & MODULES)
        elif isinstance(node, ast.Call):
            yield from of_call(node)


def of_call(call: ast.Call) -> Iterator[str]:
    called = ast.unparse(call.func)
    said = {word.arg: word.value.value for word in call.keywords if isinstance(word.value, ast.Constant)}
    if called in CALLS:
        yield called
    if called in MUST_SAY:
        word, value = MUST_SAY[called]
        if said.get(word) is not value:
            yield f"{called} without {word}={value}"
    yield from (f"{word}={value}" for word, value in MUST_NOT_SAY.items() if said.get(word) is value)


def test_nothing_in_the_source_runs_data_as_code():
    found = {
        f"{path.relative_to(ROOT)}": sorted(set(dangers(ast.parse(path.read_text()))))
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
    }
    assert len(found) > 100
    assert {path: said for path, said in found.items() if said} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from pickle import loads", "import yaml.cyaml", "from x import joblib", "eval('1')",
        "torch.load(path)", "torch.load(path, weights_only=False)", "np.load(path)", "np.load(p, allow_pickle=True)",
        "run('ls', shell=True)", "st.markdown(name, unsafe_allow_html=True)", "os.system('ls')",
    ],
)  # fmt: skip
def test_the_check_sees(line: str):
    assert list(dangers(ast.parse(line)))


@pytest.mark.parametrize("line", ["net.eval()", "torch.load(p, weights_only=True)", "np.load(p, allow_pickle=False)"])
def test_the_check_lets_through(line: str):
    assert list(dangers(ast.parse(line))) == []


@pytest.mark.parametrize("of", ["worker", "backend"])
def test_tasks_are_sent_and_taken_as_json_only(of: str):
    broker = Broker("redis://127.0.0.1:1/0") if of == "backend" else None
    conf = app.conf if broker is None else broker._app.conf
    assert list(conf.accept_content) == ["json"]
    assert conf.result_accept_content in (None, ["json"])
    assert (conf.task_serializer, conf.result_serializer, conf.event_serializer) == ("json", "json", "json")
    assert conf.task_ignore_result
    assert conf.result_backend is None
