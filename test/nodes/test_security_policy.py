"""The SROS2 policy allows what the documented graph uses, no more and no less."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NODES = ("face_node", "smoothing_node", "visualization_node")
OF_EVERY_NODE = {
    "publish": {"parameter_events", "rosout"},
    "subscribe": {"parameter_events", "clock"},
}


def rows(table: str) -> list[list[str]]:
    text = (ROOT / "docs/ros/topics.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {table} -->(.*?)<!-- /{table} -->", text, re.S)
    assert found is not None
    lines = re.findall(r"(?m)^\|(.*)\|$", found[1])[2:]
    return [[cell.strip() for cell in line.split("|")] for line in lines]


@pytest.mark.parametrize("node", NODES)
def test_policy_matches_topics_and_services(node: str) -> None:
    tree = ElementTree.parse(ROOT / "config/sros2/policy.xml")
    profile = tree.find(f".//enclave[@path='/tddfa/{node}']//profile[@node='{node}']")
    assert profile is not None
    allowed = {
        direction: {e.text for e in profile.iterfind(f"topics[@{direction}='ALLOW']/topic")}
        for direction in OF_EVERY_NODE
    }
    column = {"publish": 2, "subscribe": 3}
    for direction, common in OF_EVERY_NODE.items():
        used = {
            row[0].strip("`/") for row in rows("topics") if f"`{node}`" in row[column[direction]]
        }
        own = {"~/transition_event"} if direction == "publish" and node in NODES[:2] else set()
        assert allowed[direction] == used | common | own
    services = {e.text for e in profile.iterfind("services[@reply='ALLOW']/service")}
    offered = {
        "~/" + r[0].strip("`").split("/")[1] for r in rows("services") if f"`{node}`" == r[2]
    }
    assert offered <= services
    assert ("~/change_state" in services) == (node in NODES[:2])
