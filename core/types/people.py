"""People who sign in: their roles, the rights these give, and the acts that the audit log keeps."""

from enum import StrEnum


class Role(StrEnum):
    """The part of a person in an installation; each role may all that those before it may."""

    ANNOTATOR = "annotator"
    LEAD = "lead"
    ADMIN = "admin"

    def may(self, right: "Right") -> bool:
        """Return whether this role has a right."""
        roles = list(Role)
        return roles.index(self) >= roles.index(LEAST_ROLES[right])


class Right(StrEnum):
    """The right that a page, a route or an act asks for."""

    LOOK = "look"  # at datasets, images, findings and their verdicts
    DECIDE = "decide"  # verdicts, notes, tags, masks, new classes, and undoing
    LEAD = "lead"  # imports, rounds, bulk acts, random samples, classes, removals, exports
    DELETE = "delete"  # datasets and rounds


LEAST_ROLES = {
    Right.LOOK: Role.ANNOTATOR,
    Right.DECIDE: Role.ANNOTATOR,
    Right.LEAD: Role.LEAD,
    Right.DELETE: Role.ADMIN,
}


def forbidden(role: Role, right: Right) -> tuple[str, str]:
    """Return error and cure of a right that a role lacks."""
    least = LEAST_ROLES[right]
    return f"the role {role} may not do this", f"ask a user with the role {least}, or an admin for that role"


class LoggedAct(StrEnum):
    """An act that the audit log keeps."""

    SIGN_IN = "sign_in"
    SIGN_IN_FAILED = "sign_in_failed"
    SIGN_IN_REFUSED = "sign_in_refused"  # too many failed before
    SIGN_OUT = "sign_out"
    SIGN_OUT_EVERYWHERE = "sign_out_everywhere"
    USER_ADDED = "user_added"
    USER_REMOVED = "user_removed"
    ROLE_CHANGED = "role_changed"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105  # an act's name
    EMAIL_CHANGED = "email_changed"
    MEMBERS_CHANGED = "members_changed"  # of a dataset
    BULK_ACT = "bulk_act"
    EXPORT = "export"
