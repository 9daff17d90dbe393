from django.apps import AppConfig


class GenerationConfig(AppConfig):
    """Jobs and media, the catalogue, the studio and the API."""

    name = "generation"

    def ready(self) -> None:
        from billing import causes
        from generation.causes import JobCause
        from generation.outcomes import MediaOutcome
        from moderation import outcomes

        outcomes.register(MediaOutcome())
        causes.register(JobCause())
