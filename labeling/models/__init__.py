"""The rows of what people say, one file per noun."""

from labeling.models.assignments import Assignment, Skip
from labeling.models.completions import Completion, SampleRequest, Source
from labeling.models.demonstrations import Demonstration
from labeling.models.flags import CompletionFlag, PromptFlag
from labeling.models.guidelines import Guidelines, GuidelinesRead
from labeling.models.people import (
    RANKERS,
    READERS,
    Invitation,
    Membership,
    Role,
    SignInLink,
    Token,
    User,
)
from labeling.models.prompts import Import, ImportProblem, Project, Prompt, Split
from labeling.models.rankings import (
    Draft,
    FlaggedCompletion,
    FlaggedPrompt,
    RankedCompletion,
    Ranking,
)
from labeling.models.slates import Purpose, Slate, SlateCompletion

__all__ = [
    "RANKERS",
    "READERS",
    "Assignment",
    "Completion",
    "CompletionFlag",
    "Demonstration",
    "Draft",
    "FlaggedCompletion",
    "FlaggedPrompt",
    "Guidelines",
    "GuidelinesRead",
    "Import",
    "ImportProblem",
    "Invitation",
    "Membership",
    "Project",
    "Prompt",
    "PromptFlag",
    "Purpose",
    "RankedCompletion",
    "Ranking",
    "Role",
    "SampleRequest",
    "SignInLink",
    "Skip",
    "Slate",
    "SlateCompletion",
    "Source",
    "Split",
    "Token",
    "User",
]
