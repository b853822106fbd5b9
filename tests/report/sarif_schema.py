"""What the SARIF 2.1.0 schema says about the parts of a log that we write, spelt out by hand.

Its names, required members, bounds and choices are those of the OASIS schema. It is stricter in that it refuses
whatever we do not mean to write. (The full schema is not on any package index; reports of this repository's
fixtures were checked against it by hand when this was written.)
"""

from collections.abc import Mapping

Schema = dict[str, object]


def members(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object with these members and no others."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


def items(of: Schema, *, unique: bool = True) -> Schema:
    return {"type": "array", "items": of, "uniqueItems": unique}


TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
POSITION: Schema = {"type": "integer", "minimum": 1}
LEVEL: Schema = {"enum": ["none", "note", "warning", "error"]}
MESSAGE = members({"text": TEXT})
ARTIFACT = members({"uri": {**TEXT, "format": "uri-reference", "pattern": "^[!-~]+$"}}, {"uriBaseId": TEXT})
REGION = members({"startLine": POSITION, "startColumn": POSITION, "endLine": POSITION, "endColumn": POSITION})
PHYSICAL = members({"artifactLocation": ARTIFACT}, {"region": REGION})
LOCATION = members({"physicalLocation": PHYSICAL}, {"id": COUNT, "message": MESSAGE})
REPLACEMENT = members({"deletedRegion": REGION}, {"insertedContent": members({"text": TEXT})})
CHANGE = members({"artifactLocation": ARTIFACT, "replacements": {**items(REPLACEMENT, unique=False), "minItems": 1}})
FIX = members({"artifactChanges": {**items(CHANGE), "minItems": 1}}, {"description": MESSAGE})
RESULT = members(
    {
        "message": MESSAGE,
        "ruleId": TEXT,
        "ruleIndex": COUNT,
        "level": LEVEL,
        "locations": items(LOCATION, unique=False),
        "partialFingerprints": {"type": "object", "additionalProperties": TEXT},
    },
    {"relatedLocations": items(LOCATION), "fixes": items(FIX), "properties": {"type": "object"}},
)
RULE = members(
    {"id": TEXT},
    {
        "name": TEXT,
        "helpUri": {**TEXT, "format": "uri"},
        "shortDescription": members({"text": TEXT}),
        "help": members({"text": TEXT}, {"markdown": TEXT}),
        "defaultConfiguration": members({"level": LEVEL}),
    },
)
DRIVER = members(
    {"name": TEXT, "semanticVersion": TEXT, "informationUri": {**TEXT, "format": "uri"}, "rules": items(RULE)}
)
NOTIFICATION = members({"message": MESSAGE}, {"level": LEVEL, "locations": items(LOCATION)})
RUN = members(
    {
        "tool": members({"driver": DRIVER}),
        "results": items(RESULT, unique=False),
        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
        "invocations": items(
            members({"executionSuccessful": {"type": "boolean"}, "toolExecutionNotifications": items(NOTIFICATION)}),
            unique=False,
        ),
    }
)
LOG = members({"$schema": TEXT, "version": {"enum": ["2.1.0"]}, "runs": items(RUN, unique=False)})
