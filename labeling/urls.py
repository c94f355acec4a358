"""Addresses, one prefix a noun. A slug has no "~", so `projects/~new/` is nobody's project."""

from django.contrib.auth.views import LogoutView
from django.urls import URLPattern, URLResolver, include, path

from labeling.views import (
    account,
    assignments,
    demonstrations,
    guidelines,
    home,
    invitations,
    kept_forms,
    people,
    projects,
    prompts,
    rankings,
    sign_in,
)

of_project: list[URLPattern | URLResolver] = [
    path("", projects.project, name="project"),
    path("settings/", projects.project_settings, name="project-settings"),
    path("archive/", projects.project_archive, name="project-archive"),
    path("guidelines/", guidelines.guidelines, name="guidelines"),
    path("guidelines/read/", guidelines.read, name="guidelines-read"),
    path("people/", people.project_people, name="project-people"),
    path("people/<int:pk>/", people.member, name="member"),
    path("people/<int:pk>/sign-in-link/", people.member_sign_in_link, name="member-sign-in-link"),
    path("invitations/<int:pk>/revoke/", invitations.revoke, name="invitation-revoke"),
    path("invitations/<int:pk>/reissue/", invitations.reissue, name="invitation-reissue"),
    path("prompts/", prompts.prompt_list, name="prompt-list"),
    path("prompts/<int:pk>/", prompts.prompt, name="prompt"),
    path("prompts/<int:pk>/withdraw/", prompts.prompt_withdraw, name="prompt-withdraw"),
    path("prompts/import/", prompts.prompt_import, name="prompt-import"),
    path("prompts/imports/<int:pk>/", prompts.import_page, name="import"),
    path("demonstrations/", demonstrations.demonstration_list, name="demonstration-list"),
    path("demonstrations/<int:pk>/", demonstrations.demonstration, name="demonstration"),
    path(
        "demonstrations/<int:pk>/review/",
        demonstrations.demonstration_review,
        name="demonstration-review",
    ),
    path("rank/", assignments.rank, name="rank"),
    path("rank/ahead/", assignments.ahead, name="ahead"),
    path("rank/<int:pk>/submission/", rankings.submission, name="submission"),
    path("rank/<int:pk>/draft/", rankings.draft, name="draft"),
    path("rank/<int:pk>/renew/", assignments.renew, name="renew"),
    path("rank/<int:pk>/skip/", assignments.skip, name="skip"),
    path("rank/<int:pk>/break/", assignments.take_break, name="break"),
    path("rank/<int:pk>/back/", assignments.end_break, name="end-break"),
    path("rank/<int:pk>/compare/", assignments.compare, name="compare"),
    path("rankings/", rankings.my_rankings, name="my-rankings"),
    path("rankings/undo/", rankings.undo, name="undo"),
    path("rankings/<int:pk>/", rankings.ranking, name="ranking"),
    path("rankings/<int:pk>/draft/", rankings.correction_draft, name="correction-draft"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    path("sign-in/", kept_forms.SignIn.as_view(), name="sign-in"),
    path("sign-in/<str:secret>/", sign_in.sign_in_link, name="sign-in-link"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("invitations/<str:secret>/", invitations.invitation, name="invitation"),
    path("account/", account.account, name="account"),
    path("account/tokens/", account.tokens, name="tokens"),
    path("account/tokens/<int:pk>/revoke/", account.token_revoke, name="token-revoke"),
    path("projects/", home.home, name="project-list"),
    path("projects/~new/", projects.project_create, name="project-create"),
    path("projects/<slug:slug>/", include(of_project)),
]
