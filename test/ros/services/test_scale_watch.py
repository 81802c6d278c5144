"""Images are answered in another thread than requests: a calibration that ends meanwhile breaks neither."""

from types import SimpleNamespace

from hand_mesh_ros.ros.services.scale_service import ScaleService


class EndsWhenRead(ScaleService):
    """Another thread ends the calibration after the worker has looked for one."""

    def __init__(self) -> None:
        self.images = 0
        self._steps = [SimpleNamespace(step=self._step), None]
        self._pipeline = SimpleNamespace(sizes_seen=[])

    @property
    def _watch(self) -> object:
        return self._steps.pop(0)

    def _step(self, _: object) -> None:
        self.images += 1


def test_a_calibration_may_end_while_an_image_is_answered():
    service = EndsWhenRead()
    service.image_answered()
    assert service.images == 1


def test_the_node_may_be_deactivated_while_an_image_is_answered():
    service = EndsWhenRead()
    service._pipeline = None
    service.image_answered()
    assert service.images == 0
