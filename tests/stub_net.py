"""The small backbone the recorded training trajectories use."""

from torch import nn

from lookalike.models.reference_batch_norm import reference_batch_norm


class StubNet(nn.Module):
    """Two strided convolutions, pooled; ``fc`` is cut off by the stop layer."""

    def __init__(self, num_classes: int = 12) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(16)
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(16, num_classes)
        reference_batch_norm(self)

    def forward(self, images):
        x = self.relu(self.bn1(self.conv1(images)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.fc(self.flatten(self.avg_pool(x)))
