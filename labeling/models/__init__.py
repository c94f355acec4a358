"""The rows of what people say, one file per noun."""

from labeling.models.assignments import Assignment, Skip
from labeling.models.completions import Completion, SampleRequest, Source
from labeling.models.conversations import Conversation, Turn
from labeling.models.decisions import DecidedRank, Decision
from labeling.models.demonstrations import Demonstration, WritingTask
from labeling.models.flags import PASS_REASONS, SKIP_REASONS, CompletionFlag, PromptFlag
from labeling.models.form_drafts import FormDraft
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
from labeling.models.prompts import Import, ImportNear, ImportProblem, Project, Prompt, Split
from labeling.models.quality import Dispute, LabelerWeight, QualityFigure, QualityReport
from labeling.models.rankings import (
    Draft,
    FlaggedCompletion,
    FlaggedPrompt,
    RankedCompletion,
    Ranking,
)
from labeling.models.slates import (
    KNOWN_ANSWERS,
    LIKE_TRAINING,
    SCREENING,
    SHARED,
    Purpose,
    Slate,
    SlateCompletion,
)
from labeling.models.tallies import Tally
from labeling.models.texts import Text
from labeling.models.work import Notice, NoticeSeen, Quota, WorkDay

__all__ = [
    "KNOWN_ANSWERS",
    "LIKE_TRAINING",
    "PASS_REASONS",
    "RANKERS",
    "READERS",
    "SCREENING",
    "SHARED",
    "SKIP_REASONS",
    "Assignment",
    "Completion",
    "CompletionFlag",
    "Conversation",
    "DecidedRank",
    "Decision",
    "Demonstration",
    "Dispute",
    "Draft",
    "FlaggedCompletion",
    "FlaggedPrompt",
    "FormDraft",
    "Guidelines",
    "GuidelinesRead",
    "Import",
    "ImportNear",
    "ImportProblem",
    "Invitation",
    "LabelerWeight",
    "Membership",
    "Notice",
    "NoticeSeen",
    "Project",
    "Prompt",
    "PromptFlag",
    "Purpose",
    "QualityFigure",
    "QualityReport",
    "Quota",
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
    "Tally",
    "Text",
    "Token",
    "Turn",
    "User",
    "WorkDay",
    "WritingTask",
]
