"""Everything that `lvo` raises on purpose.

LvoError
├── UsageError          (ValueError)   the command or the configuration asks for something impossible
│   └── ConfigError                    a configuration file has an unknown key, a wrong type or an impossible value
├── InputError          (ValueError)   what was given cannot be read: images, an event log, a table of units
│   └── GeometryError                  the images of a series do not form one complete volume
├── ModelError          (RuntimeError) a model is missing, altered, or does not fit its manifest
├── DeliveryError       (ConnectionError) a target of results or messages cannot be reached or has not taken them: try again
│   └── RefusedError                   a target refuses for good: trying again does not help
└── OutputError         (OSError)      results cannot be written

Each class also inherits the builtin it refines, so callers may catch either. Messages say what was found, what was needed
and what to do. They carry no patient identity. "Could not judge" is not an error: see `lvo.core.outcome.NotAssessable`.
"""


class LvoError(Exception):
    """Base of every error that `lvo` raises on purpose."""


class UsageError(LvoError, ValueError):
    """The command or the configuration asks for something impossible."""


class ConfigError(UsageError):
    """A configuration file has an unknown key, a wrong type or an impossible value."""


class InputError(LvoError, ValueError):
    """What was given cannot be read: images, an event log, a table of units."""


class GeometryError(InputError):
    """The images of a series do not form one complete volume."""


class ModelError(LvoError, RuntimeError):
    """A model is missing, altered, or does not fit its manifest."""


class DeliveryError(LvoError, ConnectionError):
    """A target of results or messages cannot be reached or has not taken them: try again."""


class RefusedError(DeliveryError):
    """A target refuses for good: trying again does not help."""


class OutputError(LvoError, OSError):
    """Results cannot be written."""
