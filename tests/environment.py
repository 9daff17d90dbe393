"""What the settings read while testing. Loaded first (`-p tests.environment`): pytest-django reads them at once."""

import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = tempfile.TemporaryDirectory(prefix="vaglio-tests-")
DATA = Path(SCRATCH.name)
DATA.chmod(0o755)

# Settings are read when Django is first imported, which is before any fixture runs.
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "config.settings",
    "SECRET_KEY": "tests-only-" + "x" * 50,
    "DATABASE_URL": "postgresql://vaglio_app@/vaglio",
    "VAGLIO_DATA": str(DATA / "data"),
    "VAGLIO_ENGINE": "fake",
    "VAGLIO_CLASSIFIERS": "fake",
    "VAGLIO_POLICIES": f"{ROOT / 'moderation' / 'policies'}{os.pathsep}{ROOT / 'tests' / 'policies'}",
    "VAGLIO_CATALOGUE": str(ROOT / "tests" / "catalogue"),
    "VAGLIO_PLANS": str(ROOT / "tests" / "plans.toml"),
    "STRIPE_WEBHOOK_SECRET": "whsec_of_the_tests",
    "BASE_URL": "http://testserver",
    "ALLOWED_HOSTS": "testserver,127.0.0.1,localhost",
    "LEASE_SECONDS": "2",
    "SWEEP_SECONDS": "0.2",
    "EMAIL_BACKEND": "django.core.mail.backends.locmem.EmailBackend",
    "HF_HUB_OFFLINE": "1",
    # Chance draws nothing, but where a test is about it.
    "AUDIT_SHARE": "0",
    "NEAR_MISS_SHARE": "0",
}
