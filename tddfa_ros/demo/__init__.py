"""The whole graph on one's own machine: real processes, DDS between them, a recording, pictures and numbers.

``python -m tddfa_ros.demo`` starts the nodes, a recorder that subscribes like any user, and, when the recording is
over, draws the video and writes the report: drawing takes no time from what is measured.
"""
