"""Addresses of the training pages, one prefix a noun, each below its project."""

from django.urls import URLPattern, URLResolver, include, path

from training.views import (
    checkpoints,
    datasets,
    deployments,
    evaluations,
    overview,
    plans,
    rounds,
    runs,
)

of_project: list[URLPattern | URLResolver] = [
    path("overview/", overview.overview, name="overview"),
    path("overview/trends.csv", overview.trends_csv, name="trends.csv"),
    path("plan/", plans.plan, name="plan"),
    path("rounds/", rounds.round_list, name="round-list"),
    path("rounds/<int:number>/", rounds.round_page, name="round"),
    path("rounds/<int:number>/resume/", rounds.round_resume, name="round-resume"),
    path("rounds/<int:number>/cancel/", rounds.round_cancel, name="round-cancel"),
    path("rounds/<int:number>/refuse/", rounds.round_refuse, name="round-refuse"),
    path("runs/", runs.run_list, name="run-list"),
    path("runs/compare/", runs.run_compare, name="run-compare"),
    path("runs/<int:pk>/", runs.run, name="run"),
    path("runs/<int:pk>/live/", runs.run_live, name="run-live"),
    path("runs/<int:pk>/points/", runs.run_points, name="run-points"),
    path("runs/<int:pk>/metrics.csv", runs.run_metrics_csv, name="run-metrics.csv"),
    path("runs/<int:pk>/cancel/", runs.run_cancel, name="run-cancel"),
    path("runs/<int:pk>/resume/", runs.run_resume, name="run-resume"),
    path("runs/<int:pk>/repeat/", runs.run_repeat, name="run-repeat"),
    path("checkpoints/", checkpoints.checkpoint_list, name="checkpoint-list"),
    path("checkpoints/<int:pk>/", checkpoints.checkpoint, name="checkpoint"),
    path("checkpoints/<int:pk>/deploy/", deployments.deploy, name="deploy"),
    path("evaluations/", evaluations.evaluation_list, name="evaluation-list"),
    path("evaluations/<int:pk>/", evaluations.evaluation, name="evaluation"),
    path("evaluations/<int:pk>/texts/", evaluations.evaluation_texts, name="evaluation-texts"),
    path("evaluations/<int:pk>/ask/", evaluations.evaluation_ask, name="evaluation-ask"),
    path("deployments/", deployments.deployment_list, name="deployment-list"),
    path("deployments/roll-back/", deployments.roll_back, name="roll-back"),
    path("datasets/", datasets.dataset_list, name="dataset-list"),
    path("datasets/<int:pk>/", datasets.dataset, name="dataset"),
    path("datasets/<int:pk>/file/", datasets.dataset_file, name="dataset-file"),
]
urlpatterns: list[URLPattern | URLResolver] = [
    path("projects/<slug:slug>/", include(of_project)),
]
