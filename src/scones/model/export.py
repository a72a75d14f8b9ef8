"""Writes the trained network as one ONNX file: raw RGB bytes in, calibrated probabilities and embedding out.

The graph is written node by node, which is short because the network is little but convolutions, and leaves
nothing to a tracer. It holds the whole pre-processing (`pixels.resize`, whatever the picture's size) and the
temperature, so that whoever runs the file cannot get either wrong.

Eight bits: QDQ, per-channel weights, unsigned activations, MinMax ranges over training pictures. Per-tensor
weights lost two points of accuracy in a trial. The weights of dense convolutions use seven of the eight bits:
processors without VNNI add pairs of products in 16 bits, where 2 x 255 x 127 is cut off
(https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, "when to use reduce-range").
With all eight, the same file lost 1.6 points of accuracy there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from scones.errors import ModelError
from scones.model.network import EMBEDDING as EMBEDDING_SIZE
from scones.model.network import Bottleneck, Convolution, EfficientNetLite
from scones.model.pixels import CUBIC, PHOTO_SIDE, PHOTO_SIZE, SIZE, Pixels

OPSET = 18
IR_VERSION = 9  # what onnxruntime 1.16 (2023) and newer read
SEVEN_BITS = {"quant_type": QuantType.QInt8, "axis": 0, "symmetric": True, "reduce_range": True}
INPUT, PROBABILITIES, EMBEDDING, TEMPERATURE = "pixels", "probabilities", "embedding", "temperature"


class Graph:
    """Nodes and constants of the graph under construction; every method returns its output's name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        output = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def hold(self, value: Any, kind: Any = np.float32, name: str = "") -> str:
        name = name or f"constant_{len(self.constants)}"
        self.constants[name] = numpy_helper.from_array(np.asarray(value, kind), name)
        return name


def build_onnx(network: EfficientNetLite, temperature: float) -> onnx.ModelProto:
    """The checked graph: `pixels` (n, height, width, 3) bytes of any size to `probabilities` and
    `embedding`."""
    graph = Graph()
    x = graph.add("Cast", INPUT, to=TensorProto.FLOAT)
    # Normalised before it is enlarged, which is the same, as weights add up to one, and less work.
    x = graph.add("Div", graph.add("Sub", x, graph.hold(127.0)), graph.hold(128.0))
    x = _add_resize(graph, graph.add("Transpose", x, perm=[0, 3, 1, 2]))
    x = _add_blocks(graph, x, network, len(network.blocks))
    x = _add_convolution(graph, x, network.head)
    embedding = graph.add("Flatten", graph.add("GlobalAveragePool", x), name=EMBEDDING)
    weight, bias = (value.detach().numpy() for value in network.classifier.parameters())
    logits = graph.add("Gemm", embedding, graph.hold(weight), graph.hold(bias), transB=1)
    cooled = graph.add("Div", logits, graph.hold(temperature, name=TEMPERATURE))
    graph.add("Softmax", cooled, axis=1, name=PROBABILITIES)
    return _close(graph, len(bias))


def open_trunk(network: EfficientNetLite, blocks: int) -> onnxruntime.InferenceSession:
    """The stem and the first `blocks` blocks: `x` (n, 3, side, side), normalised, to the feature map."""
    graph = Graph()
    features = _add_blocks(graph, "x", network, blocks)
    described = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", features)]
    model = _make_model(graph, described[:1], described[1:])
    return _open_session(model.SerializeToString())


def _open_session(graph: bytes) -> onnxruntime.InferenceSession:
    """A session that leaves memory and cores to PyTorch, beside which it runs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _add_blocks(graph: Graph, x: str, network: EfficientNetLite, count: int) -> str:
    """The stem and the first `count` blocks."""
    x = _add_convolution(graph, x, network.stem)
    for block in network.blocks[:count]:
        assert isinstance(block, Bottleneck)
        x = _add_bottleneck(graph, x, block)
    return x


def _add_convolution(graph: Graph, x: str, layer: Convolution) -> str:
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    assert layer.bias is not None
    x = graph.add(
        "Conv", x, graph.hold(layer.weight.detach().numpy()), graph.hold(layer.bias.detach().numpy()),
        kernel_shape=[kernel, kernel], strides=[stride, stride], group=layer.groups, auto_pad="SAME_UPPER",
    )  # fmt: skip
    return x if layer.linear else graph.add("Clip", x, graph.hold(0.0), graph.hold(6.0))


def _add_bottleneck(graph: Graph, x: str, block: Bottleneck) -> str:
    hidden = x if block.expand is None else _add_convolution(graph, x, block.expand)
    y = _add_convolution(graph, _add_convolution(graph, hidden, block.depthwise), block.project)
    return graph.add("Add", x, y) if block.shortcut else y


def _add_resize(graph: Graph, x: str) -> str:
    """`pixels.resize` to `pixels.choose_size`."""
    add, hold = graph.add, graph.hold
    shape = add("Cast", add("Shape", INPUT), to=TensorProto.FLOAT)
    height, width = (add("Gather", shape, hold(axis, np.int64)) for axis in (1, 2))
    is_photo = add("GreaterOrEqual", add("Min", height, width), hold(PHOTO_SIDE))
    size = add("Where", is_photo, hold(PHOTO_SIZE), hold(SIZE))
    rows, columns = _add_weights(graph, height, size), _add_weights(graph, width, size)
    x = add("MatMul", add("MatMul", rows, x), add("Transpose", columns, perm=[1, 0]))
    return add("Clip", x, hold(-127.0 / 128.0), hold(1.0))


def _add_weights(graph: Graph, source: str, size: str) -> str:
    """`pixels.make_weights`, computed in the graph from the picture's own side."""
    add, hold = graph.add, graph.hold
    centres = add("Add", add("Range", hold(0.0), size, hold(1.0)), hold(0.5))
    centres = add("Unsqueeze", add("Mul", centres, add("Div", source, size)), hold([1], np.int64))
    scale = add("Max", add("Div", source, size), hold(1.0))
    places = add("Add", add("Range", hold(0.0), source, hold(1.0)), hold(0.5))
    distance = add("Div", add("Abs", add("Sub", places, centres)), scale)
    near, far = (add("Relu", add("Sub", hold(reach), distance)) for reach in (1.0, 2.0))
    slope = add("Add", add("Mul", near, hold(-2.0)), hold(4 * CUBIC + 3))
    tail = add("Mul", add("Sub", hold(1.0), far), hold(CUBIC))
    weights = add("Add", _add_square(graph, near, slope), _add_square(graph, far, tail))
    return add("Div", weights, add("ReduceSum", weights, hold([1], np.int64), keepdims=1))


def _add_square(graph: Graph, x: str, factor: str) -> str:
    return graph.add("Mul", graph.add("Mul", x, x), factor)


def _close(graph: Graph, classes: int) -> onnx.ModelProto:
    def describe(name: str, kind: int, shape: list[Any]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    inputs = [describe(INPUT, TensorProto.UINT8, ["n", "height", "width", 3])]
    outputs = [describe(PROBABILITIES, TensorProto.FLOAT, ["n", classes]),
               describe(EMBEDDING, TensorProto.FLOAT, ["n", EMBEDDING_SIZE])]  # fmt: skip
    model = _make_model(graph, inputs, outputs)
    onnx.checker.check_model(model, full_check=True)
    return model


def _make_model(
    graph: Graph, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]
) -> onnx.ModelProto:
    constants = list(graph.constants.values())
    return helper.make_model(
        helper.make_graph(graph.nodes, "classifier", inputs, outputs, initializer=constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="scones",
    )


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    """Feeds training pictures to the quantiser one by one."""

    def __init__(self, pictures: Sequence[Pixels]) -> None:
        self.rest = iter(pictures)

    def get_next(self) -> dict[str, Pixels] | None:
        picture = next(self.rest, None)
        return None if picture is None else {INPUT: picture[None]}


def quantise(source: Path, target: Path, pictures: Sequence[Pixels]) -> None:
    """Write the 8-bit variant of the ONNX file `source`, its ranges measured on `pictures`.

    Raises ModelError when the quantiser refuses.
    """
    nodes = onnx.load(str(source)).graph.node
    logging.getLogger().disabled, before = True, logging.getLogger().disabled  # it advises on the root logger
    try:
        # Not optimised first: that would fold constants, the temperature among them, which is set only later.
        quantize_static(
            str(source), str(target), _Pictures(pictures), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "Clip"],
            nodes_to_exclude=[node.name for node in _list_resize(nodes)],
            extra_options={"TensorQuantOverrides": {name: [SEVEN_BITS] for name in _list_dense(nodes)}},
        )  # fmt: skip
    except (RuntimeError, ValueError, OSError) as error:
        raise ModelError(f"The model cannot be quantised: {error}.") from error
    finally:
        logging.getLogger().disabled = before


def _list_resize(nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The nodes before the first convolution: the resize keeps its full precision."""
    for node in nodes:
        if node.op_type == "Conv":
            return
        yield node


def _list_dense(nodes: Sequence[onnx.NodeProto]) -> Iterator[str]:
    """The weights of the convolutions that sum over channels; depthwise ones are computed differently."""
    for node in nodes:
        if node.op_type == "Conv" and helper.get_node_attr_value(node, "group") == 1:
            yield node.input[1]


def set_temperature(path: Path, temperature: float) -> None:
    """Change the temperature of an exported graph in place; it divides the logits before the softmax."""
    model = onnx.load(str(path))
    found = [constant for constant in model.graph.initializer if constant.name == TEMPERATURE]
    if len(found) != 1:
        raise ModelError(f"The graph {path.name} has no temperature to set.")
    found[0].CopyFrom(numpy_helper.from_array(np.asarray(temperature, np.float32), TEMPERATURE))
    path.write_bytes(model.SerializeToString())


def run_onnx(path: Path, pictures: Sequence[Pixels], batch: int = 50) -> tuple[NDArray[Any], NDArray[Any]]:
    """Probabilities (n, classes) and embeddings (n, 1280) of pictures of any sizes."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = [[np.empty((0, output.shape[1]), np.float32) for output in session.get_outputs()]]
    for start in range(0, len(pictures), batch):
        chunk = pictures[start : start + batch]
        alike = len({picture.shape for picture in chunk}) == 1
        for stack in [np.stack(chunk)] if alike else [picture[None] for picture in chunk]:
            outputs.append(session.run([PROBABILITIES, EMBEDDING], {INPUT: stack}))
    return np.concatenate([o[0] for o in outputs]), np.concatenate([o[1] for o in outputs])
