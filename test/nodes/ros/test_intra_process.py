"""Topics within a process."""

from __future__ import annotations

import threading
import time

from tddfa_ros.nodes.ros.intra_process import IntraProcessTopic


def test_items_reach_the_subscription_until_it_ends() -> None:
    topic: IntraProcessTopic[int] = IntraProcessTopic()
    received: list[int] = []
    topic.publish(1)
    assert not topic.subscribed
    subscription = topic.subscribe(received.append)
    assert topic.subscribed
    topic.publish(2)
    subscription.unsubscribe()
    topic.publish(3)
    assert received == [2]
    assert not topic.subscribed


def test_item_is_processed_in_the_thread_of_the_publisher() -> None:
    topic: IntraProcessTopic[int] = IntraProcessTopic()
    threads: list[str] = []
    topic.subscribe(lambda _: threads.append(threading.current_thread().name))
    publisher = threading.Thread(target=topic.publish, args=(1,), name="publisher")
    publisher.start()
    publisher.join()
    assert threads == ["publisher"]


def test_unsubscribe_waits_for_a_running_call() -> None:
    topic: IntraProcessTopic[int] = IntraProcessTopic()
    began, ended = threading.Event(), []

    def callback(_: int) -> None:
        began.set()
        time.sleep(0.1)
        ended.append(True)

    topic.subscribe(callback)
    publisher = threading.Thread(target=topic.publish, args=(1,))
    publisher.start()
    assert began.wait(5)
    topic.unsubscribe()
    assert ended == [True]
    publisher.join()
