"""Training of the face detector ``tddfa-detect``: image synthesis, labels of photographs, network, assignment, losses, trainer, export."""
