"""People and their API keys."""

import hashlib
import hmac
from datetime import timedelta
from typing import Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone


class UserManager(BaseUserManager["User"]):
    """Makes people; an e-mail address is one whatever its case."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        if not email:
            raise ValueError("A person needs an e-mail address.")
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """A person. What they may do comes from their roles (groups); see accounts.roles."""

    email = models.EmailField("e-mail address", unique=True)
    is_active = models.BooleanField(default=True)
    joined_at = models.DateTimeField(default=timezone.now)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(Lower("email"), name="accounts_one_person_per_email")]

    def __str__(self) -> str:
        return self.email


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def of(self, person: User) -> Self:
        """A person's own keys."""
        return self.filter(person=person)

    def usable(self) -> Self:
        """Keys that open the door: not revoked, of a person who is active."""
        return self.filter(revoked_at__isnull=True, person__is_active=True)


class ApiKey(models.Model):
    """A key for the HTTP API. The secret is shown once; what is kept cannot be turned back into it."""

    # A last use is written at most this often: one row must not be written by every request.
    USE_EVERY = timedelta(minutes=1)

    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=80)
    # The first characters, to tell keys apart in a list.
    prefix = models.CharField(max_length=12)
    # The secret has 256 random bits, so one round of sha256 is as good as a slow hash.
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    objects = ApiKeyQuerySet.as_manager()

    @staticmethod
    def digest_of(secret: str) -> str:
        return hashlib.sha256(secret.encode()).hexdigest()

    def opens_with(self, secret: str) -> bool:
        return hmac.compare_digest(self.digest, self.digest_of(secret))

    def revoke(self) -> bool:
        """Close this key for good. False if it was closed already."""
        return bool(ApiKey.objects.filter(pk=self.pk, revoked_at__isnull=True).update(revoked_at=timezone.now()))

    def note_use(self) -> None:
        """Remember that it was used, once a minute at most."""
        now = timezone.now()
        if self.last_used_at is None or now - self.last_used_at > self.USE_EVERY:
            ApiKey.objects.filter(pk=self.pk).update(last_used_at=now)
