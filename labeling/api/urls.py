"""Addresses, one prefix a noun."""

from django.urls import URLPattern, URLResolver, path

from labeling.api.assignments import AssignmentNextView, AssignmentRenewView, AssignmentSkipView
from labeling.api.completions import CompletionListView
from labeling.api.known_answers import KnownAnswerListView
from labeling.api.preferences import PreferenceExportView
from labeling.api.projects import ProjectDetailView, ProjectListView
from labeling.api.prompts import PromptListView
from labeling.api.rankings import RankingListView
from labeling.api.schema import DocsView, SchemaView

project = "projects/<slug:slug>/"

urlpatterns: list[URLPattern | URLResolver] = [
    path("schema/", SchemaView.as_view(), name="api-schema"),
    path("docs/", DocsView.as_view(), name="api-docs"),
    path("projects/", ProjectListView.as_view(), name="api-project-list"),
    path(project, ProjectDetailView.as_view(), name="api-project"),
    path(project + "prompts/", PromptListView.as_view(), name="api-prompt-list"),
    path(project + "completions/", CompletionListView.as_view(), name="api-completion-list"),
    path(project + "assignments/next/", AssignmentNextView.as_view(), name="api-assignment-next"),
    path(
        project + "assignments/<assignment:pk>/renew/",
        AssignmentRenewView.as_view(),
        name="api-assignment-renew",
    ),
    path(
        project + "assignments/<assignment:pk>/skip/",
        AssignmentSkipView.as_view(),
        name="api-assignment-skip",
    ),
    path(project + "known-answers/", KnownAnswerListView.as_view(), name="api-known-answer-list"),
    path(project + "rankings/", RankingListView.as_view(), name="api-ranking-list"),
    path(
        project + "preferences.jsonl", PreferenceExportView.as_view(), name="api-preference-export"
    ),
]
