"""ROS parameters from configuration dataclasses. Each field is one parameter. This module declares, reads and changes them."""

from collections.abc import Iterable
from dataclasses import Field, dataclass, fields, replace
from typing import Any, ClassVar, Protocol, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from hand_mesh_ros.core.config import check, option


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


Config = TypeVar("Config", bound=_Dataclass)


@dataclass(frozen=True)
class NodeConfig:
    """Settings of `hand_mesh_node`, in addition to the settings of the pipeline.

    Raises:
        ValueError: with the field, its value and the allowed values.
    """

    autostart: bool = option(True, "configure and activate the node at its start; false: wait for a lifecycle manager")
    image_qos: str = option(
        "sensor_data", "QoS reliability of the subscriptions to image and depth", choices=("sensor_data", "reliable")
    )
    image_transport: str = option(
        "raw",
        "raw for images on <image>, or compressed for JPEG or PNG on <image>/compressed",
        choices=("raw", "compressed"),
    )
    depth_transport: str = option(
        "raw",
        "as image_transport names it: raw, compressedDepth (PNG, RVL) or compressed (PNG of 16 bits) from the subtopic of depth",
        choices=("raw", "compressedDepth", "compressed"),
    )
    rectified: bool = option(False, "the image is rectified (image_rect): use P of camera_info without distortion")
    max_age_ms: float = option(500.0, "older images are dropped before inference [ms]; 0: keep all", (0.0, 10_000.0), live=True)
    depth_slop_ms: float = option(15.0, "largest stamp difference of image and depth [ms]", (0.0, 200.0), live=True)
    depth_wait_ms: float = option(
        60.0, "maximum time that an image waits for its depth [ms]; no wait if no depth arrives", (0.0, 1000.0), live=True
    )
    depth_scale: float = option(
        1.0, "factor on depth, for a camera with another unit; 0.1 if 16UC1 is in tenths of a millimetre", (1e-4, 1e4), live=True
    )
    markers_hz: float = option(10.0, "maximum rate of markers [Hz]; 0: no markers", (0.0, 120.0), live=True)
    # Longer than the 0.3 s after which the examples clutch, with a margin for an image that is lost.
    new_hand_silence_s: float = option(
        0.5, "time without messages of a side before another hand is published there [s]; 0: none", (0.0, 10.0), live=True
    )
    publish_tf: bool = option(True, "publish the wrists as frames left_hand and right_hand on /tf")
    tf_prefix: str = option("", "prefix of the frames left_hand and right_hand; each camera needs its own prefix")
    output_frame: str = option("", "TF frame of the published hands; empty: the frame of the camera")
    # A short wait is enough: robots publish transforms at a high rate, and inference already took some time.
    tf_wait_ms: float = option(20.0, "maximum time that an image waits for its transform to output_frame [ms]", (0.0, 1000.0))

    def __post_init__(self) -> None:
        check(self)
        for name in ("tf_prefix", "output_frame"):
            if getattr(self, name).startswith("/"):
                raise ValueError(f"{name} is '{getattr(self, name)}': names of TF frames must not begin with a slash")


def declare(node: Node, config_class: type[Config]) -> Config:
    """Declares one parameter per field of `config_class`, read-only unless the field is `live`. Returns the configuration.

    Raises:
        ValueError: if a value is outside the field's limits or choices.
        rclpy.exceptions.InvalidParameterTypeException: if a value has the wrong type.
        rclpy.exceptions.InvalidParameterValueException: if a number is outside the field's limits.
    """
    values = {}
    for item in fields(config_class):
        values[item.name] = _typed(item, node.declare_parameter(item.name, item.default, _descriptor(item)).value)
    return config_class(**values)


def changed(config: Config, changes: Iterable[Parameter]) -> Config:
    """Returns the configuration with the changes of its own fields; the same object if no change belongs to a field.

    Raises:
        ValueError: with the field, its value and the allowed values.
    """
    by_name = {item.name: item for item in fields(config)}
    values = {change.name: _typed(by_name[change.name], change.value) for change in changes if change.name in by_name}
    return replace(config, **values) if values else config


def _typed(item: Field[Any], value: Any) -> Any:
    expected = type(item.default)
    if expected is float and type(value) is int:
        return float(value)
    if type(value) is not expected:
        raise ValueError(f"{item.name} is {value!r}, expected a value of type {expected.__name__}: {item.metadata['doc']}")
    return value


def _descriptor(item: Field[Any]) -> ParameterDescriptor:
    limits, choices = item.metadata["limits"], item.metadata["choices"]
    descriptor = ParameterDescriptor(description=item.metadata["doc"], read_only=not item.metadata["live"])
    # A float accepts integers: launch files and YAML write `markers_hz: 10`. For other live parameters, `changed` rejects a
    # wrong type: the message of rclpy would not contain the parameter name.
    descriptor.dynamic_typing = isinstance(item.default, float) or item.metadata["live"]
    if choices:
        descriptor.additional_constraints = "one of " + ", ".join(choices)
    if limits and isinstance(item.default, float):
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(limits[0]), to_value=float(limits[1]))]
    elif limits:
        descriptor.integer_range = [IntegerRange(from_value=int(limits[0]), to_value=int(limits[1]), step=1)]
    return descriptor
