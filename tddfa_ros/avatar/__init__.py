"""Drive avatars with ARKit's 52 blend shapes and the head pose: JSON lines, OSC (VMC), Live Link Face, and a web page."""

from tddfa_ros.arkit import ARKIT_NAMES
from tddfa_ros.avatar.blend_shapes import BlendShapes
from tddfa_ros.avatar.frame import AvatarFrame
from tddfa_ros.avatar.jsonl import JsonLines, from_line, to_line
from tddfa_ros.avatar.livelink import LiveLinkSender
from tddfa_ros.avatar.osc import VmcSender
from tddfa_ros.avatar.receiver import Receiver
from tddfa_ros.avatar.server import AvatarServer

__all__ = [
    "ARKIT_NAMES",
    "AvatarFrame",
    "AvatarServer",
    "BlendShapes",
    "JsonLines",
    "LiveLinkSender",
    "Receiver",
    "VmcSender",
    "from_line",
    "to_line",
]
