"""The rows of what machines learn, one file per noun."""

from training.models.checkpoints import Checkpoint
from training.models.datasets import (
    Dataset,
    DatasetDecision,
    DatasetDemonstration,
    DatasetRanking,
)
from training.models.deployments import Deployment
from training.models.evaluations import Evaluation, EvaluationText
from training.models.rounds import Plan, Round
from training.models.runs import Device, Run, RunBreakdown, RunMetric, RunResult, RunSample

__all__ = [
    "Checkpoint",
    "Dataset",
    "DatasetDecision",
    "DatasetDemonstration",
    "DatasetRanking",
    "Deployment",
    "Device",
    "Evaluation",
    "EvaluationText",
    "Plan",
    "Round",
    "Run",
    "RunBreakdown",
    "RunMetric",
    "RunResult",
    "RunSample",
]
