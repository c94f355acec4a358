"""Addresses, one prefix a noun."""

from django.urls import URLPattern, URLResolver, path

from training.api.checkpoints import CheckpointListView
from training.api.datasets import DatasetListView
from training.api.deployments import DeploymentListView
from training.api.evaluations import (
    EvaluationDetailView,
    EvaluationListView,
    EvaluationTextListView,
)
from training.api.plans import PlanView
from training.api.rounds import RoundDetailView, RoundListView
from training.api.runs import RunCancelView, RunDetailView, RunListView, RunResumeView

project = "projects/<slug:slug>/"

urlpatterns: list[URLPattern | URLResolver] = [
    path(project + "plan/", PlanView.as_view(), name="api-plan"),
    path(project + "rounds/", RoundListView.as_view(), name="api-round-list"),
    path(project + "rounds/<int:number>/", RoundDetailView.as_view(), name="api-round"),
    path(project + "runs/", RunListView.as_view(), name="api-run-list"),
    path(project + "runs/<int:pk>/", RunDetailView.as_view(), name="api-run"),
    path(project + "runs/<int:pk>/cancel/", RunCancelView.as_view(), name="api-run-cancel"),
    path(project + "runs/<int:pk>/resume/", RunResumeView.as_view(), name="api-run-resume"),
    path(project + "datasets/", DatasetListView.as_view(), name="api-dataset-list"),
    path(project + "checkpoints/", CheckpointListView.as_view(), name="api-checkpoint-list"),
    path(project + "evaluations/", EvaluationListView.as_view(), name="api-evaluation-list"),
    path(project + "evaluations/<int:pk>/", EvaluationDetailView.as_view(), name="api-evaluation"),
    path(
        project + "evaluations/<int:pk>/texts/",
        EvaluationTextListView.as_view(),
        name="api-evaluation-texts",
    ),
    path(project + "deployments/", DeploymentListView.as_view(), name="api-deployment-list"),
]
