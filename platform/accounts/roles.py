"""Roles: named groups with named permissions. The one list; `prepare_database` writes it into the database."""

from django.contrib.auth.models import Group, Permission

from accounts.models import User

ROLES: dict[str, tuple[str, ...]] = {
    "moderator": ("moderation.review_case",),
    "senior_moderator": ("moderation.review_case", "moderation.review_severe", "moderation.keep_registry"),
    "billing_admin": ("billing.view_console", "billing.act_in_console"),
    "operator": ("generation.operate",),
}


def write_roles() -> None:
    """Bring the groups in the database in line with ROLES. Safe to run again.

    Raises LookupError for a permission that no model declares.
    """
    for role, names in ROLES.items():
        group, _ = Group.objects.get_or_create(name=role)
        permissions = []
        for name in names:
            app, codename = name.split(".")
            permission = Permission.objects.filter(content_type__app_label=app, codename=codename).first()
            if permission is None:
                raise LookupError(f"The role {role} asks for {name}, which no model declares.")
            permissions.append(permission)
        group.permissions.set(permissions)


def give(person: User, role: str) -> None:
    """Give a person a role."""
    if role not in ROLES:
        raise ValueError(f"No role {role!r}; known are {', '.join(ROLES)}.")
    person.groups.add(Group.objects.get(name=role))
