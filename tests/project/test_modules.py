"""Which classes are modules."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping

import pytest
import torch
from torch import nn

from gradlint.model.torch_calls import MODULE_FACTORIES, PARAMETER_FREE
from gradlint.model.torch_names import MODULE_CLASSES
from gradlint.project import Project

Build = Callable[[Mapping[str, str]], Project]

HEAD = "import torch\nfrom torch import nn\n"


def is_module(build: Build, text: str) -> bool:
    """Whether the class ``Net`` is one."""
    project = build({"main.py": HEAD + text})
    net = next(cls for module in project.modules for cls in module.classes if cls.name == "Net")
    return project.calls.modules.is_module_class(net)


@pytest.mark.parametrize("name", [name for name in dir(nn) if name[:1].isupper()])
def test_the_classes_of_torch_nn_are_known_for_what_they_are(name: str) -> None:
    found = getattr(nn, name)
    assert (MODULE_CLASSES.search(f"torch.nn.{name}") is not None) == issubclass(found, nn.Module)


def _defined_in_torch_nn() -> Iterator[tuple[str, object]]:
    """All that the modules of ``torch.nn`` define, with full names; its kinds for quantizing cannot all be imported."""
    for part in pkgutil.walk_packages(nn.__path__, "torch.nn."):
        if not re.search(r"\.(qat|quantized|quantizable|intrinsic|backends|cpp)\b", part.name):
            defined = vars(importlib.import_module(part.name)).items()
            yield from ((f"{part.name}.{name}", found) for name, found in defined)


def test_classes_of_torch_nn_make_modules_and_its_functions_do_not() -> None:
    found = dict(_defined_in_torch_nn())
    functions = [name for name, each in found.items() if inspect.isfunction(each) and each.__module__ != "typing"]
    assert "torch.nn.modules.utils._ntuple" in functions
    assert not [name for name in functions if MODULE_FACTORIES.search(name)]
    layers = [name for name, each in found.items() if re.search(r"modules\.(?!module\.)", name) and _is_module(each)]
    assert "torch.nn.modules.linear.Linear" in layers
    assert all(MODULE_FACTORIES.search(name) for name in layers)


def _is_module(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, nn.Module)


@pytest.mark.parametrize(
    ("call", "makes_one"),
    [
        ("Embedding.from_pretrained(torch.ones(2, 2))", True),
        ("SyncBatchNorm.convert_sync_batchnorm(nn.Linear(2, 2))", True),
        ("Transformer.generate_square_subsequent_mask(2)", False),
        ("modules.utils._ntuple(2)", False),
        ("Parameter(torch.ones(2))", False),
    ],
)
def test_what_a_call_of_torch_nn_makes_is_known(call: str, makes_one: bool) -> None:
    assert isinstance(eval(f"nn.{call}", {"nn": nn, "torch": torch}), nn.Module) == makes_one
    assert (MODULE_FACTORIES.search(f"torch.nn.{call.partition('(')[0]}") is not None) == makes_one


_BARE = "AlphaDropout() CELU() GLU() Hardswish() LogSigmoid() Mish() PixelUnshuffle(2) RReLU() Softsign() MSELoss()"


@pytest.mark.parametrize("call", [*_BARE.split(), "Tanhshrink()", "LocalResponseNorm(2)", "MaxUnpool2d(2)"])
def test_the_layers_of_torch_nn_without_parameters_are_known(call: str) -> None:
    assert not list(eval(f"nn.{call}", {"nn": nn}).parameters())
    assert PARAMETER_FREE.search(f"torch.nn.{call.partition('(')[0]}")


@pytest.mark.parametrize("call", ["AdaptiveLogSoftmaxWithLoss(4, 4, [2])", "PReLU()"])
def test_losses_and_activations_with_parameters_are_told_from_those_without(call: str) -> None:
    assert list(eval(f"nn.{call}", {"nn": nn}).parameters())
    assert not PARAMETER_FREE.search(f"torch.nn.{call.partition('(')[0]}")


@pytest.mark.parametrize(
    "base",
    [
        "nn.Linear",
        "nn.Sequential",
        "nn.modules.batchnorm._BatchNorm",
        "nn.parallel.DistributedDataParallel",
        "torch.jit.ScriptModule",
        "torchvision.models.ResNet",
        "torchvision.models.resnet.BasicBlock",
        "torchvision.ops.MLP",
        "timm.models.vision_transformer.VisionTransformer",
        "torch_geometric.nn.GCNConv",
        "torch_geometric.nn.conv.MessagePassing",
        "transformers.BertPreTrainedModel",
        "transformers.models.gpt2.modeling_gpt2.GPT2LMHeadModel",
    ],
)
def test_what_derives_from_a_layer_is_a_module_without_a_forward_of_its_own(build: Build, base: str) -> None:
    text = f"import timm, torch_geometric, torchvision, transformers\nclass Base({base}): ...\nclass Net(Base): ..."
    assert is_module(build, text)


@pytest.mark.parametrize(
    "base",
    [
        "nn.Parameter",
        "torch.nn.utils.rnn.PackedSequence",
        "torch.autograd.Function",
        "torch.utils.data.Dataset",
        "torchvision.models.ResNet18_Weights",
        "transformers.Trainer",
        "transformers.modeling_outputs.ModelOutput",
        "elsewhere.Base",
    ],
)
def test_what_derives_from_anything_else_is_not(build: Build, base: str) -> None:
    assert not is_module(build, f"import elsewhere, torchvision, transformers\nclass Net({base}): ...")


def test_a_layer_without_parameters_makes_no_class_that_has_any(build: Build) -> None:
    text = HEAD + "class Net(nn.CrossEntropyLoss): ...\nclass Noisy(nn.Linear): ..."
    project = build({"main.py": text})
    classes = {cls.name: cls for module in project.modules for cls in module.classes}
    modules = project.calls.modules
    assert [modules.has_parameters(classes[name]) for name in ("Net", "Noisy")] == [False, True]
    assert isinstance(nn.CrossEntropyLoss(), torch.nn.Module)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("wavelet = pywt.Wavelet(name); self.low = wavelet.low", False),
        ("wavelet = pywt.Wavelet(name); self.wavelet = wavelet", True),
        ("self.wavelet = pywt.Wavelet(name)", True),
        ("whole = pywt.Net(name); self.trunk = nn.Sequential(*list(whole.children())[:-1])", True),
        ("whole = torchvision.models.resnet18(); self.layer = whole.layer1", True),
        ("self.backbone = torch.hub.load(name, name)", True),
        ("self.MSELoss = nn.MSELoss(); self.MSELoss(name)", False),
        ("self.Layer = nn.Linear(2, 2); self.Layer(name)", True),
        ("self.MakeLayer(name)", True),
        ("self.table = [P(name) for P in polynomials]", False),
        ("self.table = [Block(name) for Block in blocks]", True),
        ("self.table = P(name)", True),
        ("self.core = tensorly.tenalg.multi_mode_dot(name)", False),
    ],
)
def test_what_is_kept_of_other_libraries_may_have_parameters(build: Build, line: str, found: bool) -> None:
    imports = "import pywt, tensorly, torch, torchvision\n"
    text = f"{imports}class Net(nn.Module):\n    def __init__(self, name):\n        {line}\n"
    project = build({"main.py": HEAD + text})
    net = next(cls for module in project.modules for cls in module.classes)
    assert project.calls.modules.has_parameters(net) is found


FACTORIES = """
def layers(sizes):
    made = nn.ModuleList()
    for size in sizes:
        made.append(nn.Linear(size, size))
    return len(sizes), made

def deeper(sizes):
    return layers(sizes)

def window(size):
    return nn.ModuleList(), torch.ones(size)
"""


@pytest.mark.parametrize(("factory", "found"), [("layers", True), ("deeper", True), ("window", False)])
def test_layers_that_a_function_makes_are_parameters_of_the_class(build: Build, factory: str, found: bool) -> None:
    made = f"class Net(nn.Module):\n    def __init__(self):\n        self.count, self.layers = {factory}([2])\n"
    project = build({"main.py": HEAD + FACTORIES + made})
    net = next(cls for module in project.modules for cls in module.classes)
    assert project.calls.modules.has_parameters(net) is found


def test_a_class_takes_modules_by_what_it_passes_on_to_its_base(build: Build) -> None:
    text = """
class Base(nn.Module):
    def __init__(self, net=None, rng=None):
        self.net, self.rng = net, rng
    def forward(self, x):
        self.rng.manual_seed(0)
        return self.net(x)
    def __add__(self, other):
        return Base(net=nn.Linear(2, 2))
class Kept(Base):
    def __init__(self, inner, sigma=1.0, **rest):
        super().__init__(inner, **rest)
        self.sigma = sigma
"""
    project = build({"main.py": HEAD + text})
    classes = {cls.name: cls for module in project.modules for cls in module.classes}
    modules = project.calls.modules
    assert [modules.takes_by(classes[name]) for name in ("Base", "Kept")] == [{"net"}, {"net", "inner"}]
    assert [modules.has_parameters(cls, beside_handed=True) for cls in classes.values()] == [False, False]


PARTS = """
    from torch import nn
    class Hands(nn.Module):
        def make(self): return nn.Linear(3, 3)
        def forward(self, x): return x
    class Keeps(nn.Module):
        def __init__(self):
            super().__init__()
            self.part = self.make()
        def make(self): return nn.Linear(3, 3)
    class Base(nn.Module):
        def __init__(self):
            super().__init__()
            self.part = self.make()
        def make(self): return nn.ReLU()
    class Derived(Base):
        def make(self): return nn.Linear(3, 3)
    class Late(nn.Module):
        def build(self):
            self.part = nn.Linear(3, 3)
            return self
"""


def test_what_a_method_returns_and_no_method_asks_for_is_no_part(build: Build) -> None:
    project = build({"net.py": PARTS})
    classes = {cls.name: cls for module in project.modules for cls in module.classes}
    found = {name: project.calls.modules.has_parameters(cls) for name, cls in classes.items()}
    assert found == {"Hands": False, "Keeps": True, "Base": False, "Derived": True, "Late": True}
