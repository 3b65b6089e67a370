"""What is left out of the frozen program, each with the reason. The self-test and the smoke test guard this list."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Cut:
    """Files whose path inside the program matches one of ``patterns`` (``*`` crosses folders), and why nobody needs them."""

    patterns: tuple[str, ...]
    reason: str


FILES = (
    Cut(
        (
            "torch/include/*",
            "torch/share/*",
            "torch/_inductor/codegen/*.h",
            "*.h",
            "*.hpp",
            "*.cuh",
            "*.cpp",
            "*.cmake",
        ),
        "headers: nothing is compiled on the user's machine",
    ),
    Cut(
        ("torch/bin/[!t]*", "torch/bin/test_*", "torch/bin/torch_[!s]*", "torch/test/*"),
        "torch's tools and its C++ tests",
    ),
    Cut(
        (
            "torch/lib/libtorchbind_test*",
            "torch/lib/libjitbackend_test*",
            "torch/lib/libbackend_with_compiler*",
            "torch/lib/libaoti_custom_ops*",
            "torch/lib/libtorch_cuda*",
            "torch/lib/*.lib",
        ),
        "libraries of torch's tests, and those of other devices",
    ),
    Cut(
        (
            "torch/testing/*.py",
            "torch/utils/benchmark/*",
            "torch/_inductor/*.py",
            "torch/_dynamo/*.py",
            "torch/_export/*.py",
            "torch/distributed/*.py",
            "torch/onnx/*.py",
            "torch/ao/*.py",
            "torch/_vendor/*.py",
        ),
        "source of parts that no TorchScript is made of; compiled, they are there",
    ),
    Cut(
        ("*/lib-dynload/readline.*", "*/lib-dynload/_curses*", "*/lib-dynload/_dbm.*", "*/lib-dynload/_gdbm.*"),
        "Python's prompt, terminals and old databases; libreadline and gdbm are GPL",
    ),
    Cut(("*.dist-info/licenses/*",), "licences of Python packages: all of them lie in the folder licences"),
    Cut(("*.pyi", "*/py.typed"), "declarations for type checkers"),
    Cut(
        ("*/tests/*", "*/test_*.py", "*/conftest.py"),
        "tests of the libraries",
    ),
    Cut(
        ("transformers/models/*/modular_*", "transformers/models/*/convert_*"),
        "what the authors of transformers make and convert models with",
    ),
    Cut(
        (
            "transformers/models/*/image_processing_*",
            "transformers/models/*/video_processing_*",
            "transformers/models/*/feature_extraction_*",
            "transformers/models/*/processing_*",
        ),
        "what reads pictures, films and sound: documents are texts",
    ),
    Cut(("hf_xet/*", "libcudart*"), "transfer from the Hugging Face hub, which is never asked; CUDA"),
    Cut(
        ("PySide6/Qt/plugins/platformthemes/libqgtk3*",),
        "GTK's look, which brings 40 libraries of GTK along; the portal's file dialogs stay",
    ),
    Cut(
        ("PySide6/Qt/translations/*", "PySide6/translations/*"),
        "Qt's translations: the window speaks English",
    ),
    Cut(
        (
            "PySide6/Qt/qml/*",
            "PySide6/Qt/plugins/qmltooling/*",
            "PySide6/Qt/plugins/qmllint/*",
            "PySide6/Qt/plugins/sqldrivers/*",
            "PySide6/Qt/plugins/designer/*",
            "PySide6/Qt/plugins/help/*",
            "PySide6/Qt/plugins/networkinformation/*",
            "PySide6/Qt/plugins/tls/*",
            "PySide6/Qt/plugins/virtualkeyboard/*",
            "PySide6/Qt/plugins/platforminputcontexts/*virtualkeyboard*",
            "PySide6/Qt/plugins/egldeviceintegrations/*",
            "PySide6/Qt/plugins/platforms/libqeglfs*",
            "PySide6/Qt/plugins/platforms/libqlinuxfb*",
            "PySide6/Qt/plugins/platforms/libqvkkhrdisplay*",
            "PySide6/Qt/plugins/platforms/libqvnc*",
            "PySide6/Qt/plugins/platforms/libqminimalegl*",
            "PySide6/Qt/plugins/generic/*",
            "PySide6/Qt/plugins/printsupport/*",
            "PySide6/Qt/plugins/scenegraph/*",
            "PySide6/Qt/plugins/vectorimageformats/*",
        ),
        "plugins for QML, databases, the network, printing, embedded screens and virtual keyboards",
    ),
    Cut(
        (
            "PySide6/Qt/plugins/imageformats/libqtiff*",
            "PySide6/Qt/plugins/imageformats/libqwebp*",
            "PySide6/Qt/plugins/imageformats/libqpdf*",
            "PySide6/Qt/plugins/imageformats/libqtga*",
            "PySide6/Qt/plugins/imageformats/libqwbmp*",
            "PySide6/Qt/plugins/imageformats/libqicns*",
        ),
        "image formats that the window never shows",
    ),
    Cut(
        (
            "*libQt6Qml*",
            "*libQt6Quick*",
            "*libQt6Labs*",
            "*libQt6Sql*",
            "*libQt6Pdf*",
            "*libQt6Designer*",
            "*libQt6Help*",
            "*libQt6VirtualKeyboard*",
            "*libQt6Egl*",
            "*libQt6PrintSupport*",
            "PySide6/QtQml*",
            "PySide6/QtQuick*",
            "PySide6/QtSql*",
            "PySide6/QtPrintSupport*",
            "PySide6/libpyside6qml*",
            "PySide6/QtTest*",
            "*libQt6Test*",
        ),
        "modules of Qt that no import reaches",
    ),
)
"""Files that PyInstaller's hooks collect and Heddle does not use."""

KEPT = ("torch/*/config.py", "torch/*/config_*.py", "transformers/models/auto/*")
"""Files that stay although a cut names them: torch reads the comments of its settings when it starts, and transformers
looks everything up in its tables."""

STRIPPED = ("torch/lib/libtorch_cpu.so", "torch/lib/libtorch_python.so", "libpython3*.so*", "tokenizers/*.so")
"""Libraries whose symbol tables for debuggers are taken out: 115 MB of names that no run reads."""

MODULES = (
    Cut(
        ("tkinter", "_tkinter", "turtle", "idlelib", "lib2to3", "ensurepip", "pip", "setuptools", "readline", "curses"),
        "tools of Python's own",
    ),
    Cut(
        ("IPython", "matplotlib", "pandas", "scipy", "PIL", "OpenGL", "sentence_transformers"),
        "optional parts of others",
    ),
    Cut(
        ("PySide6.QtQml", "PySide6.QtQuick", "PySide6.QtSql", "PySide6.QtPrintSupport"),
        "modules of Qt that no import reaches",
    ),
    Cut(("PySide6.QtTest",), "pyqtgraph takes it where it is there, for its own tests"),
    Cut(("torchvision", "torchaudio", "triton"), "not installed: asked for by transformers and torch where they are"),
    Cut(
        (
            "torch.utils.tensorboard",
            "torch.utils.benchmark",
            "torch._inductor.codegen",
            "torch._inductor.kernel",
            "torch._inductor.fx_passes",
            "torch._inductor.autoheuristic",
            "torch._inductor.compile_fx",
            "torch._inductor.lowering",
            "torch._inductor.scheduler",
            "torch._inductor.select_algorithm",
            "networkx",
        ),
        "torch's compiler, which needs a C++ compiler at the user's; its benchmarks",
    ),
    Cut(
        (
            "torch.testing._internal.common_utils",
            "torch.testing._internal.common_methods_invocations",
            "torch.testing._internal.common_modules",
            "torch.testing._internal.common_nn",
            "torch.testing._internal.common_device_type",
            "torch.testing._internal.common_distributed",
            "torch.testing._internal.common_fsdp",
            "torch.testing._internal.common_optimizers",
            "torch.testing._internal.common_quantization",
            "torch.testing._internal.custom_op_db",
            "torch.testing._internal.distributed.distributed_test",
            "torch.testing._internal.distributed.rpc",
            "torch.testing._internal.hypothesis_utils",
            "torch.testing._internal.jit_metaprogramming_utils",
            "torch.testing._internal.opinfo",
            "torch.testing._internal.optests",
        ),
        "torch's own tests",
    ),
    Cut(
        (
            "sympy.physics",
            "sympy.stats",
            "sympy.vector",
            "sympy.diffgeom",
            "sympy.holonomic",
            "sympy.categories",
            "sympy.crypto",
            "sympy.liealgebras",
            "sympy.sandbox",
            "numpy.f2py",
        ),
        "mathematics that torch does not ask sympy for; Fortran",
    ),
    Cut(
        (
            "transformers.cli",
            "transformers.testing_utils",
            "transformers.exporters",
            "transformers.pipelines",
            "huggingface_hub.cli",
            "hf_xet",
            "typer",
            "rich",
            "pygments",
            "markdown_it",
            "pydantic",
            "pydantic_core",
        ),
        "commands, servers and transfers of transformers and its hub",
    ),
    Cut(("pyqtgraph.examples", "pyqtgraph.opengl", "pyqtgraph.console"), "demonstrations, 3D and a Python prompt"),
)
"""Python modules that are not analysed at all."""


COMPILED = ("auto", "bert", "llama")
"""Families of transformers whose model code is there compiled: the tables, and those of the models that come along. The
code of all others is there as source only, and compiled when such a model is opened: a tenth of a second against 10 MB."""


def is_source_only(module: str) -> bool:
    """Return whether ``module`` is to be there as source, and not compiled as well."""
    parts = module.split(".")
    inside = parts[:2] == ["transformers", "models"] and len(parts) > 3
    return inside and parts[2] not in COMPILED and parts[-1].startswith("modeling_")


def excluded_modules() -> list[str]:
    """Return the names of the modules that are left out."""
    return [name for cut in MODULES for name in cut.patterns]


def cut_of(path: str) -> Cut | None:
    """Return why the file ``path`` (inside the program, any separator) is left out; None where it stays."""
    plain = path.replace("\\", "/").removeprefix("_internal/")
    if any(fnmatchcase(plain, pattern) for pattern in KEPT):
        return None
    return next((cut for cut in FILES if any(fnmatchcase(plain, pattern) for pattern in cut.patterns)), None)
