"""Managed nodes: the states of ROS 2's lifecycle, with an automatic start."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from typing import Any, Generic, TypeVar

from rclpy.lifecycle import LifecycleNodeMixin, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node

from tddfa_ros.errors import TddfaError
from tddfa_ros.nodes.ros.overrides import TopicNode
from tddfa_ros.nodes.ros.parameters import Parameters
from tddfa_ros.nodes.shared_options import LifecycleOptions

C = TypeVar("C", bound=LifecycleOptions)


class ManagedNode(LifecycleNodeMixin, TopicNode, Generic[C]):
    """Lifecycle node that configures and activates itself unless ``autostart`` is false; a plain node without ``lifecycle``.

    Subclasses implement ``load`` (models, publishers, threads), ``start`` (subscriptions), ``stop`` and ``unload``, which undo
    them, and call :meth:`begin` at the end of their constructor.

    Args:
        name: node name.
        default: option values without overrides.
        kwargs: arguments of ``rclpy.node.Node``.

    Raises:
        ConfigError: a parameter is invalid.
    """

    def __init__(self, name: str, default: C, **kwargs: Any) -> None:
        Node.__init__(self, name, **kwargs)
        self.loaded = self.running = False
        self._failure: TddfaError | None = None
        self._settings: Parameters[C] = Parameters(
            self, default, self._apply, locked=lambda: self.loaded
        )
        self._managed = self._settings.config.lifecycle
        if self._managed:
            LifecycleNodeMixin.__init__(self)

    def load(self) -> None:
        """Load what the node needs and create its publishers and threads."""
        raise NotImplementedError

    def start(self) -> None:
        """Subscribe to the inputs."""
        raise NotImplementedError

    def stop(self) -> None:
        """Unsubscribe from the inputs."""
        raise NotImplementedError

    def unload(self) -> None:
        """Free what :meth:`load` has created; called after a failure of ``load`` as well."""
        raise NotImplementedError

    def _apply(self, options: C) -> None:
        """Take over parameters set at run time."""
        raise NotImplementedError

    @property
    def state(self) -> str:
        """Why the node does not work: ``"unconfigured"``, ``"inactive"``, or ``""`` while it is active."""
        return "" if self.running else "inactive" if self.loaded else "unconfigured"

    def begin(self) -> None:
        """Configure and activate, unless a lifecycle manager does.

        Raises:
            TddfaError: the node cannot be configured.
        """
        if not self._managed:
            self._load()
            self._start()
        elif self._settings.config.autostart:
            self.trigger_configure()
            if self._failure is not None:
                raise self._failure
            self.trigger_activate()

    def close(self) -> None:
        """Stop and free everything."""
        self._stop()
        self._unload()

    def check_qos_overrides(self) -> None:
        """See :meth:`TopicNode.check_qos_overrides`; an unconfigured node has no topics yet."""
        if self.loaded:
            super().check_qos_overrides()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load; a user error such as a missing model leaves the node unconfigured."""
        self._failure = None
        try:
            self._load()
        except TddfaError as error:
            self._failure = error
            self._unload()
            if not self._settings.config.autostart:
                self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        return self._succeed("configured")

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start."""
        self._start()
        return self._succeed("activated")

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop."""
        self._stop()
        return self._succeed("deactivated")

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unload and return the memory to the system."""
        self._unload()
        return self._succeed("cleaned up")

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and unload."""
        self.close()
        return self._succeed("shut down")

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unload after an unexpected exception; the node is unconfigured then."""
        self.get_logger().error("unexpected failure in a lifecycle transition")
        self.close()
        return TransitionCallbackReturn.SUCCESS

    def _succeed(self, done: str) -> TransitionCallbackReturn:
        if not self._settings.config.autostart:
            self.get_logger().info(done)
        return TransitionCallbackReturn.SUCCESS

    def _load(self) -> None:
        self.load()
        self.loaded = True
        self.check_qos_overrides()

    def _start(self) -> None:
        self.start()
        self.running = True

    def _stop(self) -> None:
        if self.running:
            self.running = False
            self.stop()

    def _unload(self) -> None:
        self.loaded = False
        self.unload()
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):  # no glibc
            ctypes.CDLL(None).malloc_trim(0)
