"""Demo of the complete graph: start the nodes as processes, record their topics, then render a video and a report.

``python -m tddfa_ros.demo`` runs it. Rendering starts after the recording, so that it does not affect the measurements.
"""
