"""Training of the face detector ``tddfa-detect``: image synthesis, labels of images, network, assignment, losses, trainer, export."""
